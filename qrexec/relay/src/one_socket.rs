// SPDX-License-Identifier: GPL-3.0-or-later
//! Programs that go on speaking on their input's socket after the end of their output.
//!
//! They have got only one descriptor for both directions, mostly through a shell, and say so by sending
//! SIGUSR1 to the process that `QREXEC_AGENT_PID` names. That one relays many calls, and the signal does
//! not say for which of them it is: its sender is looked up in the tree of processes. One that has ended by
//! the time it is looked up (a `kill` that is no part of the shell) is not heard.
//!
//! To be read one by one the signal has to be blocked here, and a process that is started inherits that: the
//! thread that starts it unblocks all signals for that moment. One that comes just then does not tell its
//! sender, and counts as everybody's who could have sent it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use signal_hook::consts::SIGUSR1;
use signal_hook::flag;

/// How far above a sender its service's first process is looked for.
const DEPTH: usize = 32;

static HEARING: OnceLock<Hearing> = OnceLock::new();

/// The signal, and who has sent it.
struct Hearing {
    signal: SignalFd,
    known: Mutex<Known>,
    /// One came that does not tell its sender.
    caught: Arc<AtomicBool>,
    /// How many processes are being started.
    starting: AtomicUsize,
}

#[derive(Default)]
struct Known {
    /// Children that have not been reaped.
    children: BTreeSet<u32>,
    /// Those among them that have sent the signal, or may have.
    senders: BTreeSet<u32>,
}

impl Hearing {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From now on the signal is heard, and ends nothing. To be called before there are threads.
pub fn hear_of_one_socket() -> io::Result<()> {
    let signal = SigSet::from(Signal::SIGUSR1);
    signal.thread_block()?;
    let caught = Arc::default();
    flag::register(SIGUSR1, Arc::clone(&caught))?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let signal = SignalFd::with_flags(&signal, flags)?;
    let _ = HEARING.set(Hearing {
        signal,
        known: Mutex::default(),
        caught,
        starting: AtomicUsize::new(0),
    });
    Ok(())
}

/// Starts a process by `start`, which has no signal blocked and the usual effect of this one.
pub(crate) fn starting(start: impl FnOnce() -> io::Result<Child>) -> io::Result<Child> {
    let Some(hearing) = HEARING.get() else {
        return start();
    };
    // What is here already still tells its sender.
    take_note();
    hearing.starting.fetch_add(1, Ordering::SeqCst);
    let blocked = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK);
    let started = blocked.map_err(io::Error::from).and_then(|blocked| {
        let started = start();
        blocked.thread_set_mask()?;
        started
    });
    if let Ok(child) = &started {
        hearing.known().children.insert(child.id());
    }
    hearing.starting.fetch_sub(1, Ordering::SeqCst);
    started
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
    let mut known = hearing.known();
    while let Ok(Some(signal)) = hearing.signal.read_signal() {
        known.senders.extend(own_child(signal.ssi_pid));
    }
    if hearing.caught.swap(false, Ordering::SeqCst) {
        // A child that is not known yet may have sent it: it counts again for that one.
        if hearing.starting.load(Ordering::SeqCst) > 0 {
            hearing.caught.store(true, Ordering::SeqCst);
        }
        let Known { children, senders } = &mut *known;
        senders.extend(children.iter());
    }
}

/// Whether the child with this number, or one of its descendants, has sent the signal.
pub(crate) fn has_said(child: u32) -> bool {
    take_note();
    HEARING
        .get()
        .is_some_and(|hearing| hearing.known().senders.contains(&child))
}

/// The child with this number has been reaped: from now on it stands for another process, or for none. Its start
/// would be too late a time to forget an earlier one, since the new one may have signalled by then.
pub(crate) fn forget(child: u32) {
    if let Some(hearing) = HEARING.get() {
        let mut known = hearing.known();
        known.children.remove(&child);
        known.senders.remove(&child);
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
