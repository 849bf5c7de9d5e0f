// SPDX-License-Identifier: GPL-3.0-or-later
//! The signals that ask the daemon to end.
//!
//! They are caught and never blocked: the services that the daemon starts would inherit that, and could not
//! be asked to end any more.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use qrexec_relay::{Interest, wait};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_default;
use signal_hook::low_level::pipe;

/// What the daemon hears of them.
#[derive(Debug)]
pub(crate) struct Signals {
    /// Readable once one has come.
    heard: UnixStream,
    /// A signal ends the process at once.
    deadly: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to listen. A signal ends the process at once until [`Self::hold`].
    pub fn listen() -> io::Result<Self> {
        let (heard, told) = UnixStream::pair()?;
        let deadly = Arc::new(AtomicBool::new(true));
        for signal in [SIGTERM, SIGINT] {
            register_conditional_default(signal, Arc::clone(&deadly))?;
            pipe::register(signal, told.try_clone()?)?;
        }
        Ok(Self { heard, deadly })
    }

    /// From here on a signal only makes [`Self::fd`] readable: there is something to clear up.
    pub fn hold(&self) {
        self.deadly.store(false, Ordering::SeqCst);
    }

    /// From here on a signal ends the process again. Whether one has come meanwhile.
    pub fn let_go(&self) -> io::Result<bool> {
        self.deadly.store(true, Ordering::SeqCst);
        let entry = [Some((self.fd(), Interest::Readable))];
        let [heard] = wait(entry, Some(Instant::now()))?;
        Ok(heard.readable)
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.heard.as_fd()
    }
}
