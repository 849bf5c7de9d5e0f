// SPDX-License-Identifier: GPL-3.0-or-later
//! Runs in dom0 of the box and does what the host asks for over a virtio-serial port.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use bulkhead_box::{agent, wire};

/// The device of the port with our name. Without udev there is no link to it.
fn port() -> io::Result<PathBuf> {
    for entry in fs::read_dir("/sys/class/virtio-ports")? {
        let entry = entry?;
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim() == wire::PORT {
            return Ok(PathBuf::from("/dev").join(entry.file_name()));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!("no virtio-serial port is called {}", wire::PORT),
    ))
}

fn serve() -> io::Result<()> {
    let port = port()?;
    let requests = File::options().read(true).write(true).open(&port)?;
    let answers = requests.try_clone()?;
    agent::serve(BufReader::with_capacity(1 << 18, requests), answers)
}

fn main() -> ExitCode {
    if let Err(error) = serve() {
        eprintln!("error: {error}");
        // init starts us again; the port may need a moment.
        thread::sleep(Duration::from_secs(1));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
