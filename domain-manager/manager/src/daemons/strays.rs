// SPDX-License-Identifier: GPL-3.0-or-later
//! Daemons that a manager left behind when it was killed.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The variable in a daemon's environment that names the installation it belongs to.
pub const MARK_VARIABLE: &str = "BULKHEAD_SUPERVISED_FOR";

/// How long a daemon may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// Ends every process that carries the mark of the installation at `root`, and returns
/// how many there were. Blocks, at most some seconds.
pub fn end_strays(root: &Path) -> usize {
    let mark = [MARK_VARIABLE.as_bytes(), b"=", root.as_os_str().as_bytes()].concat();
    let strays = marked(&mark);
    for (signal, patience) in [(Signal::SIGTERM, PATIENCE), (Signal::SIGKILL, PATIENCE)] {
        for pid in strays.iter().filter(|pid| still_marked(**pid, &mark)) {
            // It may have ended meanwhile.
            let _ = kill(*pid, signal);
        }
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline && strays.iter().any(|pid| still_marked(*pid, &mark)) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    strays.len()
}

fn marked(mark: &[u8]) -> Vec<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let own = Pid::this();
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
        .filter(|pid| *pid != own && still_marked(*pid, mark))
        .collect()
}

/// Whether the process lives and carries the mark: asked again before each signal, since a
/// number can pass to another process.
fn still_marked(pid: Pid, mark: &[u8]) -> bool {
    match fs::read(format!("/proc/{pid}/environ")) {
        // A process that has ended and was not waited for has an empty environment.
        Ok(environment) => environment.split(|b| *b == 0).any(|entry| entry == mark),
        Err(error) if error.raw_os_error() == Some(Errno::EACCES as i32) => false,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn only_processes_with_this_installations_mark_are_ended() {
        let spawn = |root: &str| {
            let mut command = Command::new("sleep");
            command
                .arg("60")
                .env(MARK_VARIABLE, root)
                .stdin(Stdio::null());
            command.spawn().unwrap()
        };
        let root = tempfile::tempdir().unwrap();
        let mut ours = spawn(root.path().to_str().unwrap());
        let mut other = spawn("/another/installation");
        assert_eq!(end_strays(root.path()), 1);
        assert!(!ours.wait().unwrap().success());
        assert_eq!(other.try_wait().unwrap(), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
