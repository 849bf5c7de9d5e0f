// SPDX-License-Identifier: GPL-3.0-or-later
//! The service as a process of its user, under one that stays root.

use std::io;
use std::process::{Child, Command};
use std::thread;

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::unistd::{Pid, User, chdir};
use qrexec_relay::exit_code;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};

/// What asks a process to end. The service gets it, and this process ends after it.
const PASSED_ON: [Signal; 4] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
];

/// A service that runs.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// Signals that come one by one, by being waited for.
    awaited: SigSet,
}

/// Starts the command as `user` in its home folder, or in `/` where that is not there. Groups and limits
/// are those of this process.
pub fn start(user: &User, command: &mut Command) -> io::Result<Service> {
    let awaited: SigSet = PASSED_ON.into_iter().chain([Signal::SIGCHLD]).collect();
    let before = awaited.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    // On Linux each thread has its own ids, and a process that it starts inherits those: so nothing has
    // to be done between fork and exec, and the session stays with root.
    let start = || -> io::Result<Child> {
        let gid = Gid::from_raw(user.gid.as_raw());
        set_thread_res_gid(gid, gid, gid)?;
        let uid = Uid::from_raw(user.uid.as_raw());
        set_thread_res_uid(uid, uid, uid)?;
        chdir(&user.dir).or_else(|_| chdir("/"))?;
        // What is started inherits this. No longer than it takes, since the signal would end the whole process.
        before.thread_set_mask()?;
        let started = command.spawn();
        awaited.thread_block()?;
        started
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
            match self.awaited.wait()? {
                Signal::SIGCHLD => {}
                // Nobody else collects the service, so the number is still its own.
                signal => kill(Pid::from_raw(self.child.id().cast_signed()), signal)?,
            }
        }
    }
}
