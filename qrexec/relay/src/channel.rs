// SPDX-License-Identifier: GPL-3.0-or-later
//! The data vchan of one call, with its buffers.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use bulkhead_vchan::{State, StreamError, Vchan};
use nix::errno::Errno;
use qrexec_protocol::data::{Decoder, Piece, Stream, body_max};
use qrexec_protocol::frame::{Violation, hello};
use qrexec_protocol::limits::{DATA_MAX_V3, HEADER_LEN};
use qrexec_protocol::version::Version;
use thiserror::Error;

/// Why a data vchan cannot be used any more.
#[derive(Debug, Error)]
pub enum ChannelError {
    /// The peer closed it, or its domain died.
    #[error("the other domain closed the connection")]
    Closed,
    /// The peer did not answer in time.
    #[error("the other domain did not answer in time")]
    TimedOut,
    /// Whoever arranged the call says that it has to end.
    #[error("the permission for it has ended")]
    Ended,
    /// What the peer sent is no qrexec.
    #[error(transparent)]
    Violation(#[from] Violation),
    /// The channel itself failed.
    #[error("the channel to the other domain failed")]
    Stream(#[source] StreamError),
    /// Waiting failed.
    #[error("cannot wait for the other domain")]
    Wait(#[source] io::Error),
}

impl From<StreamError> for ChannelError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Closed => Self::Closed,
            StreamError::TimedOut => Self::TimedOut,
            other => Self::Stream(other),
        }
    }
}

/// How long a peer may go on speaking to a socket after the end of the conversation.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(250);
/// How long a peer of version 2 may take to go by itself.
const OLD_PEER_GOES: Duration = Duration::from_secs(1);
/// What a buffer holds at first: most calls never need more, and memory that is not touched
/// costs no time.
const SMALL: usize = 4096;

/// A data vchan: frames that wait to be sent, and bytes that wait to be looked at.
#[derive(Debug)]
pub struct Channel {
    vchan: Vchan,
    decoder: Decoder,
    inbox: Vec<u8>,
    unread: Range<usize>,
    outbox: Vec<u8>,
    unsent: Range<usize>,
    first_byte: Option<Instant>,
    first_answer: Option<Instant>,
    /// Bytes of bodies that came and went.
    came: u64,
    went: u64,
}

impl Channel {
    /// Greets the peer and waits for its greeting, at most until `deadline`.
    pub fn open(vchan: Vchan, deadline: Instant) -> Result<Self, ChannelError> {
        Self::open_at(Version::OWN, vchan, deadline)
    }

    /// The same with the offer of `version`, for a peer that may know no newer one.
    pub fn open_at(
        version: Version,
        vchan: Vchan,
        deadline: Instant,
    ) -> Result<Self, ChannelError> {
        Self::greet(version, vchan).agree(deadline)
    }

    /// Puts the greeting into the line, which offers `version`. Where the channel is only announced,
    /// [`Self::flush`] lets the peer find it when it comes, so that it need not wait for it.
    pub fn greet(version: Version, vchan: Vchan) -> Self {
        let mut channel = Self {
            vchan,
            decoder: Decoder::offering(version),
            inbox: vec![0; SMALL],
            unread: 0..0,
            outbox: vec![0; SMALL],
            unsent: 0..0,
            first_byte: None,
            first_answer: None,
            came: 0,
            went: 0,
        };
        channel.queue(&hello(version));
        channel
    }

    /// Waits for the peer's greeting, at most until `deadline`.
    pub fn agree(mut self, deadline: Instant) -> Result<Self, ChannelError> {
        loop {
            self.flush()?;
            let agreed = self.next(|piece| matches!(piece, Piece::Agreed(_)))?;
            if agreed.is_some() {
                return Ok(self);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ChannelError::TimedOut);
            }
            self.vchan.wait(Some(left)).map_err(ChannelError::Wait)?;
        }
    }

    /// Closes the channel; a caller who is still speaking may finish its sentence.
    pub fn finish(mut self) {
        if self.decoder.version() == Some(Version::V2) {
            self.let_peer_go();
        }
        self.vchan.finish(LAST_WORDS);
    }

    /// Waits for the peer to go, and drops what it still says. Qubes' programs of version 2 fail when they find the
    /// channel closed at the end of their input, and never read the exit code that is there.
    fn let_peer_go(&mut self) {
        let deadline = Instant::now() + OLD_PEER_GOES;
        while self.vchan.state() == State::Connected {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.vchan.read(&mut self.inbox) {
                Ok(1..) if !left.is_zero() => {}
                Ok(0) if self.vchan.wait(Some(left)).unwrap_or(false) => {}
                _ => return,
            }
        }
    }

    /// The descriptor that becomes readable when anything happens on the vchan.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.vchan.fd()
    }

    /// Takes note of what `poll` has seen, before looking again.
    pub fn acknowledge(&mut self) -> Result<(), ChannelError> {
        self.vchan.acknowledge().map_err(ChannelError::Wait)
    }

    /// Whether the peer has not come yet to the channel that we announced.
    pub fn waiting(&mut self) -> bool {
        self.vchan.state() == State::Waiting
    }

    /// Whether the peer has closed the channel or died; what it sent may still be read.
    pub fn peer_gone(&mut self) -> bool {
        self.vchan.state() == State::Closed
    }

    /// Whether a frame still waits to be sent.
    pub fn sending(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Puts a frame into the line.
    pub fn queue(&mut self, frame: &[u8]) {
        if !self.sending() {
            self.unsent = 0..0;
        }
        let end = self.unsent.end + frame.len();
        if self.outbox.len() < end {
            self.outbox.resize(end, 0);
        }
        self.outbox[self.unsent.end..end].copy_from_slice(frame);
        self.unsent.end = end;
    }

    /// Sends as much as the ring takes.
    pub fn flush(&mut self) -> Result<(), ChannelError> {
        while self.sending() {
            let len = self.vchan.write(&self.outbox[self.unsent.clone()])?;
            if len == 0 {
                return Ok(());
            }
            self.unsent.start += len;
        }
        Ok(())
    }

    /// The largest body that is sent: a whole frame fits into the ring.
    pub fn body_max(&self) -> usize {
        let version = self.decoder.version().unwrap_or(Version::V2);
        body_max(version).min(DATA_MAX_V3 - HEADER_LEN)
    }

    /// Reads once from `source`, which has something, and puts it into the line as a frame.
    /// Returns false at the end of the stream. Only to be called when nothing is being sent.
    pub fn send_from(&mut self, stream: Stream, source: impl AsFd) -> io::Result<bool> {
        let room = self.outbox.len().min(HEADER_LEN + self.body_max());
        let len = match nix::unistd::read(source, &mut self.outbox[HEADER_LEN..room]) {
            Ok(0) => return Ok(false),
            Ok(len) => len,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        };
        if self.first_byte.is_none() {
            self.first_byte = Some(Instant::now());
        }
        self.outbox[..HEADER_LEN].copy_from_slice(&stream.header(len));
        self.unsent = 0..HEADER_LEN + len;
        self.went += len as u64;
        if len == room - HEADER_LEN && room < DATA_MAX_V3 {
            self.outbox.resize(DATA_MAX_V3, 0);
        }
        Ok(true)
    }

    /// When the first byte of a stream was put into the line.
    pub fn first_byte(&self) -> Option<Instant> {
        self.first_byte
    }

    /// When the first byte of a stream came, on the caller's side.
    pub fn first_answer(&self) -> Option<Instant> {
        self.first_answer
    }

    /// How many bytes came from the peer and were sent to it, greetings and frames not counted.
    pub fn moved(&self) -> (u64, u64) {
        (self.came, self.went)
    }

    /// Counts bytes that came from the peer.
    pub(crate) fn count(&mut self, came: usize) {
        if came > 0 && self.first_answer.is_none() {
            self.first_answer = Some(Instant::now());
        }
        self.came += came as u64;
    }

    /// The body of the frame that [`Self::send_from`] has just put into the line.
    pub fn sent_body(&self) -> &[u8] {
        let frame = &self.outbox[self.unsent.clone()];
        frame.get(HEADER_LEN..).unwrap_or_default()
    }

    /// Hands the next piece that came in to `use_it`; `None` when there is nothing now.
    pub fn next<R>(
        &mut self,
        use_it: impl FnOnce(Piece<'_>) -> R,
    ) -> Result<Option<R>, ChannelError> {
        while self.fill()? {
            let mut bytes = &self.inbox[self.unread.clone()];
            let piece = self.decoder.next(&mut bytes)?;
            self.unread.start = self.unread.end - bytes.len();
            if let Some(piece) = piece {
                return Ok(Some(use_it(piece)));
            }
        }
        Ok(None)
    }

    /// Reads from the vchan if the inbox is empty. Returns whether it holds anything.
    fn fill(&mut self) -> Result<bool, ChannelError> {
        if !self.unread.is_empty() {
            return Ok(true);
        }
        if self.unread.end == self.inbox.len() {
            // The last look brought all that there was room for: more may be waiting.
            self.inbox.resize(DATA_MAX_V3, 0);
        }
        let mut len = self.vchan.read(&mut self.inbox)?;
        if len == 0 && self.vchan.state() == State::Closed {
            // What the peer wrote before it left may have come since the first look.
            len = self.vchan.read(&mut self.inbox)?;
            if len == 0 {
                return Err(ChannelError::Closed);
            }
        }
        self.unread = 0..len;
        Ok(len > 0)
    }
}
