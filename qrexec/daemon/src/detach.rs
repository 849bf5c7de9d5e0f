// SPDX-License-Identifier: GPL-3.0-or-later
//! Running in the background, as the daemon does when it is not told to stay (`--direct`).

use std::fs::{self, OpenOptions, Permissions};
use std::io;
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
    let ended = child.map(|mut child| {
        // Its end is told through the same socket as its readiness.
        thread::spawn(move || {
            let code = child
                .wait()
                .ok()
                .and_then(|status| status.code())
                .unwrap_or(1);
            let word = format!("ENDED={code}");
            UnixDatagram::unbound().and_then(|socket| socket.send_to(word.as_bytes(), place))
        })
    });
    let mut word = [0; 64];
    let len = ended.and_then(|_| ready.recv(&mut word))?;
    let word = String::from_utf8_lossy(&word[..len]).into_owned();
    let code = word
        .strip_prefix("ENDED=")
        .and_then(|code| code.parse().ok());
    Ok(ExitCode::from(code.unwrap_or(0)))
}
