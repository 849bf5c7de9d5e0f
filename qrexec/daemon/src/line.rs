// SPDX-License-Identifier: GPL-3.0-or-later
//! The line between the confined process that reads the guest and the daemon: [`Word`]s to the daemon,
//! whole frames to the agent.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

pub(crate) use qrexec_protocol::session_link::Word;
use qrexec_protocol::session_link::{Nonsense, Words};

/// How much is read at one time.
const READ: usize = 4096;

/// Why a line cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("its process has ended")]
    Ended,
    #[error(transparent)]
    Nonsense(#[from] Nonsense),
    #[error("the line to its process failed: {0}")]
    System(#[from] io::Error),
}

/// One end of the line. Nothing blocks: what the other side does not take waits.
#[derive(Debug)]
pub(crate) struct Line {
    stream: UnixStream,
    incoming: Words,
    outgoing: VecDeque<u8>,
}

impl Line {
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            incoming: Words::default(),
            outgoing: VecDeque::new(),
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Bytes that wait until the other side reads.
    pub fn queued(&self) -> usize {
        self.outgoing.len()
    }

    pub fn queue(&mut self, bytes: &[u8]) {
        self.outgoing.extend(bytes);
    }

    /// Sends as much as the other side takes now.
    pub fn flush(&mut self) -> Result<(), LineError> {
        while !self.outgoing.is_empty() {
            let (front, _) = self.outgoing.as_slices();
            match self.stream.write(front) {
                Ok(len) => drop(self.outgoing.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It is over when everything that was said has been read.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                    ) =>
                {
                    self.outgoing.clear();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Says nothing more.
    pub fn close(&self) {
        // It may have gone already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// What came, as it is; `None` when nothing is there now.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, LineError> {
        let mut bytes = [0; READ];
        loop {
            return match self.stream.read(&mut bytes) {
                Ok(0) => Err(LineError::Ended),
                Ok(len) => Ok(Some(bytes[..len].to_vec())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(LineError::Ended),
                Err(error) => Err(error.into()),
            };
        }
    }

    /// The next word, or `None` when there is none now.
    pub fn receive(&mut self) -> Result<Option<Word>, LineError> {
        loop {
            if let Some(word) = self.incoming.next()? {
                return Ok(Some(word));
            }
            match self.read()? {
                Some(bytes) => self.incoming.push(&bytes),
                None => return Ok(None),
            }
        }
    }
}
