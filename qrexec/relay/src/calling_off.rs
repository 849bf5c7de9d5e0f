// SPDX-License-Identifier: GPL-3.0-or-later
//! Telling a call that its caller is not going to come.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use nix::sys::eventfd::{EfdFlags, EventFd};

/// Shared by a call's thread and whoever learns of its caller.
#[derive(Clone, Debug)]
pub struct CallingOff(Arc<EventFd>);

impl CallingOff {
    /// A call that has not been called off.
    pub fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self(Arc::new(EventFd::from_flags(flags)?)))
    }

    /// Readable from the time that the call has been called off.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// The caller is not going to come. A call that has met it does not mind.
    pub fn call_off(&self) {
        // A counter that is full was raised before.
        let _ = self.0.write(1);
    }
}
