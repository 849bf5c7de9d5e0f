// SPDX-License-Identifier: GPL-3.0-or-later
//! A try at what must not work, from inside, each time a process is confined.
//!
//! Everything that is tried does no harm where it works. Most of it fails with another reason
//! where only one of the locks is closed, so that the first lock is seen to be closed.

use std::ffi::CStr;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::ptrace;
use nix::sys::signal::kill;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::stat::Mode;
use nix::sys::termios::tcgetattr;
use nix::unistd::{Pid, Uid, chroot, execve, pipe, setuid, unlink};

use crate::ConfineError;

type Try = fn(Pid) -> Result<(), Errno>;

/// A path that leads nowhere.
const NOWHERE: &CStr = c"/nonexistent/bulkhead";

const TRIES: &[(&str, Try)] = &[
    ("read a file", |_| {
        open("/proc/self/status", OFlag::O_RDONLY, Mode::empty()).map(drop)
    }),
    ("make a file", |_| {
        open(NOWHERE, OFlag::O_WRONLY | OFlag::O_CREAT, Mode::S_IRWXU).map(drop)
    }),
    ("remove a file", |_| unlink(NOWHERE)),
    ("make a local socket", |_| a_socket(AddressFamily::Unix)),
    ("make a network socket", |_| a_socket(AddressFamily::Inet)),
    ("make a pipe", |_| pipe().map(drop)),
    ("run a program", |_| {
        execve(NOWHERE, &[NOWHERE], &[] as &[&CStr]).map(|never| match never {})
    }),
    ("start a thread", |_| {
        match std::thread::Builder::new().spawn(|| ()) {
            Ok(_) => Ok(()),
            Err(error) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(0))),
        }
    }),
    ("trace a process", |parent| ptrace::cont(parent, None)),
    ("mount a file system", |_| {
        let none: Option<&CStr> = None;
        mount(none, NOWHERE, none, MsFlags::empty(), none)
    }),
    ("change its root", |_| chroot(NOWHERE)),
    ("make a namespace", |_| unshare(CloneFlags::CLONE_NEWUSER)),
    ("become root", |_| setuid(Uid::from_raw(0))),
    ("signal another process", |parent| kill(parent, None)),
    ("ask a device for more", |_| {
        let file = memfd_create("bulkhead-trial", MFdFlags::MFD_CLOEXEC)?;
        tcgetattr(file.as_fd()).map(drop)
    }),
];

fn a_socket(family: AddressFamily) -> Result<(), Errno> {
    socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map(drop)
}

/// Tries everything. Returns how much that was.
pub(crate) fn run(parent: Pid) -> Result<usize, ConfineError> {
    for (what, attempt) in TRIES {
        match attempt(parent) {
            Err(Errno::EPERM | Errno::EACCES) => {}
            _ => return Err(ConfineError::Unlocked(what)),
        }
    }
    Ok(TRIES.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_not_confined_is_found_out() {
        let found = run(Pid::parent());
        assert!(matches!(found, Err(ConfineError::Unlocked("read a file"))));
    }

    #[test]
    fn nothing_that_is_tried_does_harm_where_it_works() {
        // Each in this very process, which goes on afterwards; all but the one that another
        // process would notice.
        for (what, attempt) in TRIES {
            if *what != "make a namespace" && *what != "become root" {
                let _ = attempt(Pid::parent());
            }
        }
    }
}
