// SPDX-License-Identifier: GPL-3.0-or-later
//! The service as a process of its user, under one that stays root.

use std::io;
use std::process::{Child, Command};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chdir};
use qrexec_relay::exit_code;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// What asks a process to end. The service gets it, and this process ends after it.
const PASSED_ON: [i32; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// A service that runs.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// Signals that come one by one, by being waited for. They are caught and not blocked, since what
    /// this process starts would inherit that.
    awaited: Signals,
}

/// Starts the command as `user` in its home folder, or in `/` where that is not there. Groups and limits
/// are those of this process.
pub fn start(user: &User, command: &mut Command) -> io::Result<Service> {
    let awaited = Signals::new(PASSED_ON.into_iter().chain([SIGCHLD]))?;
    // On Linux each thread has its own ids, and a process that it starts inherits those: so nothing has
    // to be done between fork and exec, and the session stays with root.
    let start = || -> io::Result<Child> {
        let gid = Gid::from_raw(user.gid.as_raw());
        set_thread_res_gid(gid, gid, gid)?;
        let uid = Uid::from_raw(user.uid.as_raw());
        set_thread_res_uid(uid, uid, uid)?;
        chdir(&user.dir).or_else(|_| chdir("/"))?;
        command.spawn()
    };
    let started = thread::scope(|scope| scope.spawn(start).join());
    let child = started.map_err(|_| io::Error::other("the thread that starts it has failed"))?;
    // The folder is the whole process's; what holds it keeps a module from taking it away.
    chdir("/")?;
    Ok(Service {
        child: child?,
        awaited,
    })
}

impl Service {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the service's end; its exit code.
    pub fn outlive(mut self) -> io::Result<i32> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(exit_code(status));
            }
            for signal in self.awaited.wait().filter(|signal| *signal != SIGCHLD) {
                let signal = Signal::try_from(signal)?;
                // Nobody else collects the service, so the number is still its own.
                kill(Pid::from_raw(self.child.id().cast_signed()), signal)?;
            }
        }
    }
}
