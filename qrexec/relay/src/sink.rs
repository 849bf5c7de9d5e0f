// SPDX-License-Identifier: GPL-3.0-or-later
//! Where a call's bytes go on this side: a socket, a pipe, a terminal or a file.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{MsgFlags, Shutdown, send, shutdown};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{dup2_stdout, write};
use qrexec_protocol::sanitize::terminal_output;
use thiserror::Error;

/// Nobody reads any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("nobody reads what is written here")]
pub struct Broken;

/// A descriptor that takes bytes without ever blocking the rest of the call.
///
/// What it does not take at once is kept, at most one frame's body; until that is gone the caller
/// must not bring more.
#[derive(Debug)]
pub struct Sink {
    fd: Option<OwnedFd>,
    kind: Kind,
    standard_output: bool,
    filter: bool,
    pending: Vec<u8>,
    start: usize,
    ending: bool,
}

#[derive(Debug)]
enum Kind {
    /// Sends without waiting; the end is a shutdown of the writing side, unless others write
    /// to the same socket.
    Socket { shared: bool },
    /// Does not wait; the flags that it had before are put back.
    Pipe(Option<OFlag>),
    /// A terminal, a file, a device: each write is done when it returns.
    Plain,
}

impl Sink {
    /// Writes to a descriptor that belongs to this call alone.
    pub fn owned(fd: OwnedFd) -> io::Result<Self> {
        Self::new(fd, false)
    }

    /// Writes to this process's standard output. When the stream ends, so does the descriptor.
    pub fn standard_output() -> io::Result<Self> {
        let fd = io::stdout().as_fd().try_clone_to_owned()?;
        let mut sink = Self::new(fd, true)?;
        // A shell that runs this may have more to say on the same socket. One that serves both
        // directions was given to this process alone.
        if let Kind::Socket { shared } = &mut sink.kind {
            let (input, output) = (fstat(io::stdin())?, fstat(io::stdout())?);
            *shared = (input.st_dev, input.st_ino) != (output.st_dev, output.st_ino);
        }
        sink.standard_output = true;
        Ok(sink)
    }

    /// Writes to this process's standard error, which stays open for messages.
    pub fn standard_error() -> io::Result<Self> {
        Self::new(io::stderr().as_fd().try_clone_to_owned()?, true)
    }

    /// Throws everything away.
    pub fn nothing() -> Self {
        Self::of(None, Kind::Plain)
    }

    /// Makes what is written harmless for a terminal.
    #[must_use]
    pub fn filtered(mut self, filter: bool) -> Self {
        self.filter = filter;
        self
    }

    fn new(fd: OwnedFd, restore: bool) -> io::Result<Self> {
        let mode = SFlag::from_bits_truncate(fstat(&fd)?.st_mode) & SFlag::S_IFMT;
        let kind = if mode == SFlag::S_IFSOCK {
            Kind::Socket { shared: restore }
        } else if mode == SFlag::S_IFIFO {
            let flags = OFlag::from_bits_retain(fcntl(&fd, FcntlArg::F_GETFL)?);
            fcntl(&fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
            Kind::Pipe(restore.then_some(flags))
        } else {
            Kind::Plain
        };
        Ok(Self::of(Some(fd), kind))
    }

    fn of(fd: Option<OwnedFd>, kind: Kind) -> Self {
        Self {
            fd,
            kind,
            standard_output: false,
            filter: false,
            pending: Vec::new(),
            start: 0,
            ending: false,
        }
    }

    /// Whether bytes wait for room: nothing more may be brought.
    pub fn blocked(&self) -> bool {
        self.start < self.pending.len()
    }

    /// The descriptor, to wait for room or for the reader's end; `None` once it is closed.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// Writes what fits and keeps the rest.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        if self.fd.is_none() {
            return Ok(());
        }
        if self.filter {
            let mut safe = bytes.to_vec();
            terminal_output(&mut safe);
            return self.write_now(&safe);
        }
        self.write_now(bytes)
    }

    fn write_now(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let done = if self.blocked() {
            0
        } else {
            self.attempt(bytes)?
        };
        self.pending.extend_from_slice(&bytes[done..]);
        Ok(())
    }

    /// Writes what waits.
    pub fn flush(&mut self) -> Result<(), Broken> {
        if self.blocked() {
            let pending = std::mem::take(&mut self.pending);
            let result = self.attempt(&pending[self.start..]);
            self.pending = pending;
            self.start += result?;
            if !self.blocked() {
                self.pending.clear();
                self.start = 0;
            }
        }
        if self.ending && !self.blocked() {
            self.close();
        }
        Ok(())
    }

    /// Ends the stream once everything is written.
    pub fn end(&mut self) {
        self.ending = true;
        if !self.blocked() {
            self.close();
        }
    }

    /// Closes the stream at once; what waits is lost.
    pub fn close(&mut self) {
        self.pending = Vec::new();
        self.start = 0;
        let Some(fd) = self.fd.take() else { return };
        match &self.kind {
            // A peer that has gone already needs no shutdown.
            Kind::Socket { shared: true } => {}
            Kind::Socket { shared: false } => drop(shutdown(fd.as_raw_fd(), Shutdown::Write)),
            Kind::Pipe(Some(flags)) => drop(fcntl(&fd, FcntlArg::F_SETFL(*flags))),
            _ => {}
        }
        drop(fd);
        if self.standard_output
            && let Ok(null) = File::options().write(true).open("/dev/null")
        {
            let _ = dup2_stdout(null);
        }
    }

    /// Writes until the descriptor takes no more; returns how much it took.
    fn attempt(&self, bytes: &[u8]) -> Result<usize, Broken> {
        let Some(fd) = &self.fd else {
            return Ok(bytes.len());
        };
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let result = match self.kind {
                Kind::Socket { .. } => send(fd.as_raw_fd(), rest, flags),
                _ => write(fd, rest),
            };
            match result {
                Ok(len) => done += len,
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                Err(_) => return Err(Broken),
            }
        }
        Ok(done)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let (Some(fd), Kind::Pipe(Some(flags))) = (&self.fd, &self.kind) {
            let _ = fcntl(fd, FcntlArg::F_SETFL(*flags));
        }
    }
}

/// Sends the one line that a socket service gets before any data.
pub(crate) fn write_all(fd: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    File::from(fd.try_clone()?).write_all(bytes)
}
