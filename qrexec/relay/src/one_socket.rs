// SPDX-License-Identifier: GPL-3.0-or-later
//! Programs that go on speaking on their input's socket after the end of their output.
//!
//! They have got only one descriptor for both directions, mostly through a shell, and say so by sending
//! SIGUSR1 to the process that `QREXEC_AGENT_PID` names. That one relays many calls, and the signal does
//! not say for which of them it is: its sender is looked up in the tree of processes. One that has ended by
//! the time it is looked up (a `kill` that is no part of the shell) is not heard.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// How far above a sender its service's first process is looked for.
const DEPTH: usize = 32;

static HEARING: OnceLock<Hearing> = OnceLock::new();

/// The signal, and who has sent it.
struct Hearing {
    signal: SignalFd,
    senders: Mutex<BTreeSet<u32>>,
}

impl Hearing {
    fn senders(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From now on the signal is heard, and ends nothing. To be called before there are threads.
pub fn hear_of_one_socket() -> io::Result<()> {
    let signal = SigSet::from(Signal::SIGUSR1);
    signal.thread_block()?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signal = SignalFd::with_flags(&signal, flags)?;
    let senders = Mutex::default();
    let _ = HEARING.set(Hearing { signal, senders });
    Ok(())
}

/// Readable when somebody has sent the signal: [`take_note`] is due.
pub(crate) fn fd() -> Option<BorrowedFd<'static>> {
    HEARING.get().map(|hearing| hearing.signal.as_fd())
}

/// Finds out whose the signals are that have come. The kernel keeps one at a time, so that this is not to be
/// put off.
pub(crate) fn take_note() {
    let Some(hearing) = HEARING.get() else { return };
    // Whoever asks next has to see what was found here.
    let mut senders = hearing.senders();
    while let Ok(Some(signal)) = hearing.signal.read_signal() {
        senders.extend(own_child(signal.ssi_pid));
    }
}

/// Whether the child with this number, or one of its descendants, has sent the signal.
pub(crate) fn has_said(child: u32) -> bool {
    take_note();
    HEARING
        .get()
        .is_some_and(|hearing| hearing.senders().contains(&child))
}

/// The child with this number has been reaped: from now on it stands for another process, or for none. Its start
/// would be too late a time to forget an earlier one, since the new one may have signalled by then.
pub(crate) fn forget(child: u32) {
    if let Some(hearing) = HEARING.get() {
        hearing.senders().remove(&child);
    }
}

/// The child of this process that is `pid` or has it among its descendants.
fn own_child(pid: u32) -> Option<u32> {
    let mut child = pid;
    for _ in 0..DEPTH {
        let parent = parent(child)?;
        if parent == std::process::id() {
            return Some(child);
        }
        child = parent;
    }
    None
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_sender_belongs_to_the_child_that_has_it_among_its_descendants() {
        let text = r#"sh -c 'echo $$; read x'; exit"#;
        let mut child = Command::new("sh")
            .args(["-c", text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let sender: u32 = line.trim().parse().unwrap();
        assert_ne!(sender, child.id());
        assert_eq!(own_child(sender), Some(child.id()));
        assert_eq!(own_child(child.id()), Some(child.id()));
        for other in [1, std::process::id()] {
            assert_eq!(own_child(other), None);
        }
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(own_child(sender), None, "it is no more");
    }
}
