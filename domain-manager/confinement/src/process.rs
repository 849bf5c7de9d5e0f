// SPDX-License-Identifier: GPL-3.0-or-later
//! The process that will be confined, as the one that starts it holds it.

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::unistd::Pid;

use crate::{ConfineError, privileges};

/// The program that runs already, also where another version has taken its place meanwhile.
const OURSELVES: &str = "/proc/self/exe";
/// The argument that makes a session of a program; its value is the starter's number.
const FLAG: &str = "--session";

/// What a program hands to the session that it starts of itself.
#[derive(Debug)]
pub struct Start<'a> {
    /// How it is called in lists of processes; at most 15 characters.
    pub name: &'static CStr,
    /// Its arguments, to which `--session=PID` is added.
    pub arguments: &'a [String],
    /// What it has in its environment beside our own.
    pub environment: &'a [(&'static str, &'static str)],
    /// A descriptor that it finds as its standard output.
    pub output: Option<OwnedFd>,
}

/// A session's process, which ends at the latest with this value.
#[derive(Debug)]
pub struct SessionProcess(Child);

impl SessionProcess {
    /// Starts this very program as a session. The stream is the line to it, whose other end the
    /// session has as its standard input.
    pub fn start(start: Start<'_>) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let output = start.output.map_or_else(Stdio::null, Stdio::from);
        let child = Command::new(OURSELVES)
            .arg0(OsStr::from_bytes(start.name.to_bytes()))
            .args(start.arguments)
            .arg(format!("{FLAG}={}", std::process::id()))
            .envs(start.environment.iter().copied())
            .env_remove("NOTIFY_SOCKET")
            .stdin(OwnedFd::from(theirs))
            .stdout(output)
            .spawn()?;
        Ok((Self(child), ours))
    }

    /// Sees to it that the process is gone, by itself within `patience` or not.
    pub fn end(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            sleep(Duration::from_millis(1));
        }
        self.0.kill()?;
        self.0.wait()
    }
}

impl Drop for SessionProcess {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first thing that a session does: takes its name, and the tie to the process `parent`,
/// which started it. [`crate::confine`] sees to the tie once more.
pub fn begin(name: &CStr, parent: Pid) -> Result<(), ConfineError> {
    // The kernel calls it after the link by which it was started.
    prctl::set_name(name).map_err(ConfineError::refused("take its name"))?;
    privileges::end_with(parent)
}
