// SPDX-License-Identifier: GPL-3.0-or-later
//! The control vchan between a daemon and its agent, from either side.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;

use bulkhead_vchan::{State, StreamError, Vchan};
use qrexec_protocol::frame::{Incoming, Receiver, Role, Violation};
use qrexec_protocol::limits::CONTROL_RING;
use qrexec_protocol::version::Version;
use thiserror::Error;

use crate::channel::LAST_WORDS;

/// Why a control vchan cannot be used any more: the session with this peer is over.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The peer closed it, or its domain died.
    #[error("the other side closed the control channel")]
    Closed,
    /// The peer broke the protocol.
    #[error("the other side broke the protocol")]
    Violation(#[from] Violation),
    /// The channel itself failed.
    #[error("the control channel failed")]
    Stream(#[source] StreamError),
    /// Waiting failed.
    #[error("cannot wait for the control channel")]
    Wait(#[source] io::Error),
}

impl From<StreamError> for ControlError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Closed => Self::Closed,
            other => Self::Stream(other),
        }
    }
}

/// A control vchan whose incoming messages follow the rules of `R`.
///
/// Nothing blocks: what the ring does not take waits in a line whose length the owner watches
/// ([`Self::queued`]).
#[derive(Debug)]
pub struct Control<R: Role> {
    vchan: Vchan,
    receiver: Receiver<R>,
    outgoing: VecDeque<u8>,
}

impl<R: Role> Control<R> {
    /// A session that begins.
    pub fn new(vchan: Vchan) -> Self {
        Self::offering(Version::OWN, vchan)
    }

    /// A session that begins with the offer of `version`, which is the newest that holds.
    pub fn offering(version: Version, vchan: Vchan) -> Self {
        Self {
            vchan,
            receiver: Receiver::offering(version),
            outgoing: VecDeque::new(),
        }
    }

    /// The descriptor that becomes readable when anything happens.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.vchan.fd()
    }

    /// Closes the channel after a violation; the peer may finish its sentence.
    pub fn finish(self) {
        self.vchan.finish(LAST_WORDS);
    }

    /// Takes note of what `poll` has seen, before looking again.
    pub fn acknowledge(&mut self) -> Result<(), ControlError> {
        self.vchan.acknowledge().map_err(ControlError::Wait)
    }

    /// Whether the peer has come to the channel that we announced.
    pub fn connected(&mut self) -> bool {
        self.vchan.state() != State::Waiting
    }

    /// The agreed version, if the peer's `HELLO` is in.
    pub fn version(&self) -> Option<Version> {
        self.receiver.version()
    }

    /// Bytes that wait for room in the ring.
    pub fn queued(&self) -> usize {
        self.outgoing.len()
    }

    /// Puts a frame into the line.
    pub fn queue(&mut self, frame: &[u8]) {
        self.outgoing.extend(frame);
    }

    /// Sends as much as the ring takes.
    pub fn flush(&mut self) -> Result<(), ControlError> {
        while !self.outgoing.is_empty() {
            let (front, _) = self.outgoing.as_slices();
            let len = self.vchan.write(front)?;
            if len == 0 {
                break;
            }
            self.outgoing.drain(..len);
        }
        Ok(())
    }

    /// The next message, or `None` when there is nothing now.
    pub fn receive(&mut self) -> Result<Option<Incoming<R::Message>>, ControlError> {
        loop {
            if let Some(incoming) = self.receiver.next()? {
                return Ok(Some(incoming));
            }
            let mut bytes = [0; CONTROL_RING];
            let mut len = self.vchan.read(&mut bytes)?;
            if len == 0 && self.vchan.state() == State::Closed {
                len = self.vchan.read(&mut bytes)?;
                if len == 0 {
                    return Err(ControlError::Closed);
                }
            }
            if len == 0 {
                return Ok(None);
            }
            self.receiver.push(&bytes[..len]);
        }
    }
}
