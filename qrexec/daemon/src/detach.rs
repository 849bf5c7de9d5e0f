// SPDX-License-Identifier: GPL-3.0-or-later
//! Running in the background, as the daemon does when it is not told to stay (`--direct`).

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

/// Starts this program again with `--direct` in a process group of its own, its output in `log`, and
/// returns when it is ready or has ended.
pub fn run(log: &Path) -> io::Result<ExitCode> {
    if let Some(dir) = log.parent() {
        fs::create_dir_all(dir)?;
    }
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    // A folder that nobody else can look into or guess the name of. It goes when this function returns.
    let private = tempfile::Builder::new()
        .prefix("qrexec-daemon-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir()?;
    let place = private.path().join("notify");
    let ready = UnixDatagram::bind(&place)?;
    let child = Command::new(std::env::current_exe()?)
        .arg("--direct")
        .args(std::env::args_os().skip(1))
        .env("NOTIFY_SOCKET", &place)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn();
    let mut child = child?;
    let heard = ready.try_clone()?;
    let ending = thread::spawn(move || {
        let code = child.wait().ok().and_then(|status| status.code());
        // Nobody is ready any more, also where the folder has been cleared away.
        let _ = heard.shutdown(Shutdown::Both);
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    });
    if ready.recv(&mut [0; 64])? > 0 {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(ending.join().unwrap_or(1)))
}
