// SPDX-License-Identifier: GPL-3.0-or-later
//! Waiting for several descriptors at once.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// What is waited for on a descriptor.
#[derive(Clone, Copy, Debug)]
pub enum Interest {
    /// Bytes to read, or the end of the stream.
    Readable,
    /// Room to write.
    Writable,
    /// Only that the other end has gone.
    Gone,
}

/// What was seen on a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// There are bytes, or the stream has ended.
    pub readable: bool,
    /// There is room.
    pub writable: bool,
    /// The other end has gone or the descriptor is in error.
    pub gone: bool,
}

impl Ready {
    /// Whether anything was seen.
    pub fn any(self) -> bool {
        self.readable || self.writable || self.gone
    }
}

/// Waits until something happens on one of the descriptors or the deadline has passed.
///
/// An entry of `None` is skipped, so that the answers stand at fixed places.
pub fn wait<const N: usize>(
    entries: [Option<(BorrowedFd<'_>, Interest)>; N],
    deadline: Option<Instant>,
) -> io::Result<[Ready; N]> {
    let present: Vec<_> = entries.iter().flatten().copied().collect();
    let mut seen = wait_for_any(&present, deadline)?.into_iter();
    Ok(entries.map(|entry| entry.and_then(|_| seen.next()).unwrap_or_default()))
}

/// Waits like [`wait`] for any number of descriptors; the answers are in the order of the entries.
pub fn wait_for_any(
    entries: &[(BorrowedFd<'_>, Interest)],
    deadline: Option<Instant>,
) -> io::Result<Vec<Ready>> {
    let mut fds: Vec<PollFd<'_>> = entries.iter().map(|entry| poll_fd(*entry)).collect();
    loop {
        match poll(&mut fds, until(deadline)) {
            Ok(0) if deadline.is_none_or(|end| Instant::now() < end) => {}
            Ok(_) => return Ok(fds.iter().map(ready).collect()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn poll_fd((fd, interest): (BorrowedFd<'_>, Interest)) -> PollFd<'_> {
    let flags = match interest {
        Interest::Readable => PollFlags::POLLIN,
        Interest::Writable => PollFlags::POLLOUT,
        Interest::Gone => PollFlags::empty(),
    };
    PollFd::new(fd, flags)
}

fn ready(fd: &PollFd<'_>) -> Ready {
    let flags = fd.revents().unwrap_or(PollFlags::POLLERR);
    let gone = flags.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL);
    let asked_to_read = fd.events().contains(PollFlags::POLLIN);
    Ready {
        readable: flags.contains(PollFlags::POLLIN) || (asked_to_read && gone),
        writable: flags.contains(PollFlags::POLLOUT),
        gone,
    }
}

fn until(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else {
        return PollTimeout::NONE;
    };
    let left = deadline.saturating_duration_since(Instant::now());
    // Rounded up, so that the last wait does not spin through the final millisecond.
    let millis = left.as_millis().saturating_add(1);
    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
}
