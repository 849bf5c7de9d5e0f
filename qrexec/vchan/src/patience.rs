// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a client waits for its server.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::stream::wait_readable;

/// A wait that ends at a certain time, or earlier when somebody calls it off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience<'a> {
    deadline: Option<Instant>,
    /// Readable once the wait has been called off.
    called_off: Option<BorrowedFd<'a>>,
}

impl<'a> Patience<'a> {
    /// A wait that begins now; without a time it has no limit.
    pub fn new(timeout: Option<Duration>, called_off: Option<BorrowedFd<'a>>) -> Self {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self {
            deadline,
            called_off,
        }
    }

    /// Whether somebody has called it off.
    pub fn called_off(&self) -> io::Result<bool> {
        self.called_off
            .map_or(Ok(false), |fd| wait_readable([fd], Some(Duration::ZERO)))
    }

    /// Whether it has come to its end, the one or the other.
    pub fn is_over(&self) -> io::Result<bool> {
        Ok(self.left() == Some(Duration::ZERO) || self.called_off()?)
    }

    /// Waits until `fd` is readable or the wait is over, at most for `at_most`. Which of them it was
    /// is for the caller to see.
    pub fn wait(&self, fd: BorrowedFd<'_>, at_most: Option<Duration>) -> io::Result<()> {
        let limit = self.left().into_iter().chain(at_most).min();
        match self.called_off {
            Some(called_off) => wait_readable([fd, called_off], limit)?,
            None => wait_readable([fd], limit)?,
        };
        Ok(())
    }

    fn left(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }
}
