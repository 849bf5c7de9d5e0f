// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stream that callers hold.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::StreamError;
use crate::local::LocalLink;
use crate::ring::{End, Peer, SharedRing, Wake};
use crate::xen::XenLink;

/// How a channel stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A server whose client has not come yet.
    Waiting,
    /// Both sides are there.
    Connected,
    /// The peer left or died. What it sent can still be read.
    Closed,
}

/// One side of a byte stream between two domains.
///
/// Poll [`Self::fd`] for input; when it is readable call [`Self::acknowledge`] and then look
/// at the state, read and write as wanted. Wake-ups without a reason are normal.
/// Dropping the value closes the channel.
#[derive(Debug)]
pub struct Vchan {
    end: End<SharedRing>,
    link: Link,
}

/// What carries wake-ups and the news of the peer's death.
#[derive(Debug)]
pub(crate) enum Link {
    /// The local transport's socket.
    Local(LocalLink),
    /// An event channel, and xenstore where it tells of deaths.
    Xen(XenLink),
}

impl Link {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Local(link) => link.fd(),
            Self::Xen(link) => link.fd(),
        }
    }

    fn acknowledge(&mut self) -> io::Result<()> {
        match self {
            Self::Local(link) => link.acknowledge(),
            Self::Xen(link) => link.acknowledge(),
        }
    }

    fn wake_peer(&self) {
        match self {
            Self::Local(link) => link.wake_peer(),
            Self::Xen(link) => link.wake_peer(),
        }
    }

    /// Whether the peer is known to be gone, whatever its live byte says.
    fn peer_lost(&self) -> bool {
        match self {
            Self::Local(link) => link.peer_lost(),
            Self::Xen(link) => link.peer_lost(),
        }
    }
}

impl Vchan {
    pub(crate) fn over_ring(end: End<SharedRing>, link: Link) -> Self {
        Self { end, link }
    }

    /// The descriptor to poll for input: readable when bytes or space that were wanted came,
    /// or the peer came, left or died. Quiet again after [`Self::acknowledge`].
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.link.fd()
    }

    /// Takes note of what made [`Self::fd`] readable. Call it before looking again.
    pub fn acknowledge(&mut self) -> io::Result<()> {
        self.link.acknowledge()?;
        match &mut self.link {
            Link::Xen(link) if self.end.peer() != Peer::NotYet => link.withdraw(),
            _ => {}
        }
        Ok(())
    }

    /// How the channel stands.
    pub fn state(&mut self) -> State {
        match self.end.peer() {
            _ if self.link.peer_lost() => State::Closed,
            Peer::NotYet => State::Waiting,
            Peer::Live => State::Connected,
            Peer::Gone => State::Closed,
        }
    }

    /// Reads what is there, up to the buffer's length; 0 means nothing now.
    ///
    /// When it returns less than asked, the peer's next bytes make [`Self::fd`] readable.
    /// [`StreamError::Closed`] comes once the peer left and everything has been read.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, StreamError> {
        // Looked at first: what was sent before leaving is then certainly visible below.
        let closed = self.state() == State::Closed;
        let mut done = 0;
        loop {
            let (count, wake) = self.end.read(&mut buffer[done..])?;
            self.pay(wake);
            done += count;
            if done == buffer.len() || self.end.want_data()? == 0 {
                break;
            }
        }
        if done == 0 && closed && !buffer.is_empty() {
            Err(StreamError::Closed)
        } else {
            Ok(done)
        }
    }

    /// Writes as much as fits; 0 means full now.
    ///
    /// When it returns less than given, the peer's next reading makes [`Self::fd`] readable.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, StreamError> {
        if self.state() == State::Closed {
            return Err(StreamError::Closed);
        }
        let mut done = 0;
        loop {
            let (count, wake) = self.end.write(&bytes[done..])?;
            self.pay(wake);
            done += count;
            if done == bytes.len() || self.end.want_space()? == 0 {
                return Ok(done);
            }
        }
    }

    /// How many bytes wait to be read. Asks for a wake-up when there are none.
    pub fn readable(&mut self) -> Result<usize, StreamError> {
        self.readable_at_least(1)
    }

    /// How many bytes wait to be read. Asks for a wake-up when they are less than `wanted`.
    ///
    /// More than a ring holds can never wait; `wanted` counts as the ring's size then.
    pub fn readable_at_least(&mut self, wanted: usize) -> Result<usize, StreamError> {
        let ready = self.end.ready()? as usize;
        if ready >= wanted.min(self.end.receive_size()) {
            Ok(ready)
        } else {
            Ok(self.end.want_data()? as usize)
        }
    }

    /// How many bytes can be written. Asks for a wake-up when there is no room.
    pub fn writable(&mut self) -> Result<usize, StreamError> {
        self.writable_at_least(1)
    }

    /// How many bytes can be written. Asks for a wake-up when they are less than `wanted`.
    ///
    /// Use it before beginning a message, so that a slow reader does not make the writer
    /// crawl. `wanted` counts as the ring's size when it is more.
    pub fn writable_at_least(&mut self, wanted: usize) -> Result<usize, StreamError> {
        let space = self.end.space()? as usize;
        if space >= wanted.min(self.end.send_size()) {
            Ok(space)
        } else {
            Ok(self.end.want_space()? as usize)
        }
    }

    /// The size of the ring this side reads: the most that can wait to be read.
    pub fn receive_ring(&self) -> usize {
        self.end.receive_size()
    }

    /// The size of the ring this side writes: the most that [`Self::writable`] can say.
    pub fn send_ring(&self) -> usize {
        self.end.send_size()
    }

    /// Writes all bytes, waiting for room until the deadline (`None`: for ever).
    ///
    /// After [`StreamError::TimedOut`] a part may have been written.
    pub fn write_all_blocking(
        &mut self,
        bytes: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(), StreamError> {
        let mut done = 0;
        loop {
            done += self.write(&bytes[done..])?;
            if done == bytes.len() {
                return Ok(());
            }
            self.wait_until(deadline)?;
        }
    }

    /// Fills the buffer, waiting for bytes until the deadline (`None`: for ever).
    ///
    /// After an error a part may have been read.
    pub fn read_exact_blocking(
        &mut self,
        buffer: &mut [u8],
        deadline: Option<Instant>,
    ) -> Result<(), StreamError> {
        let mut done = 0;
        loop {
            done += self.read(&mut buffer[done..])?;
            if done == buffer.len() {
                return Ok(());
            }
            self.wait_until(deadline)?;
        }
    }

    /// Waits for [`Self::fd`] and acknowledges; false when `timeout` (`None`: for ever)
    /// passed first.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        if !wait_readable(self.fd(), timeout)? {
            return Ok(false);
        }
        self.acknowledge()?;
        Ok(true)
    }

    fn wait_until(&mut self, deadline: Option<Instant>) -> Result<(), StreamError> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if self.wait(left)? {
            Ok(())
        } else {
            Err(StreamError::TimedOut)
        }
    }

    fn pay(&self, wake: Wake) {
        if wake.0 {
            self.link.wake_peer();
        }
    }
}

impl Drop for Vchan {
    fn drop(&mut self) {
        self.end.leave();
        self.link.wake_peer();
    }
}

/// Polls a descriptor for input. An interrupting signal counts as a wake-up.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, timeout: Option<Duration>) -> io::Result<bool> {
    // Rounded up, so that a wait never ends before its time; the longest poll can express
    // is 24 days, after which callers look again.
    let milliseconds =
        timeout.map(|t| i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
    let limit = match milliseconds {
        None => PollTimeout::NONE,
        Some(ms) => PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX),
    };
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, limit) {
        Ok(count) => Ok(count > 0),
        Err(nix::Error::EINTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
