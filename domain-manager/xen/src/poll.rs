// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for one descriptor.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits at most `timeout` (`None`: for ever) until a descriptor can be read.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // Rounded up, so that a wait never ends before its time.
        let limit = left.map_or(PollTimeout::NONE, |left| {
            let milliseconds = left.as_nanos().div_ceil(1_000_000);
            PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], limit) {
            Ok(0) if left.is_none_or(|left| !left.is_zero()) && limit != PollTimeout::ZERO => {
                if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                    return Ok(false);
                }
            }
            Ok(count) => return Ok(count > 0),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
