// SPDX-License-Identifier: MIT OR Apache-2.0
//! The stream that callers hold.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::StreamError;
use crate::ringed::RingChannel;
use crate::socket::SocketChannel;

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
    channel: Channel,
}

/// What the bytes go through.
#[derive(Debug)]
pub(crate) enum Channel {
    /// A ring in shared memory.
    Ring(RingChannel),
    /// A plain socket.
    Socket(SocketChannel),
}

/// Calls the method of whichever channel it is.
macro_rules! either {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match &mut $self.channel {
            Channel::Ring(channel) => channel.$method($($argument),*),
            Channel::Socket(channel) => channel.$method($($argument),*),
        }
    };
}

impl Vchan {
    pub(crate) fn over(channel: Channel) -> Self {
        Self { channel }
    }

    /// The descriptor to poll for input: readable when bytes or space that were wanted came,
    /// or the peer came, left or died. Quiet again after [`Self::acknowledge`].
    pub fn fd(&self) -> BorrowedFd<'_> {
        match &self.channel {
            Channel::Ring(channel) => channel.fd(),
            Channel::Socket(channel) => channel.fd(),
        }
    }

    /// Takes note of what made [`Self::fd`] readable. Call it before looking again.
    pub fn acknowledge(&mut self) -> io::Result<()> {
        either!(self.acknowledge())
    }

    /// Lets go of everything by which a process could reach other domains through this
    /// channel: the connection to xenstore that a client in dom0 has. To be called before
    /// [`Self::fd`] is used.
    ///
    /// From then on this end still hears when the peer's process ends, but not when its whole
    /// *domain* is gone: somebody else must watch for that, and drop the channel.
    pub fn keep_to_itself(&mut self) {
        if let Channel::Ring(channel) = &mut self.channel {
            channel.keep_to_itself();
        }
    }

    /// How the channel stands.
    pub fn state(&mut self) -> State {
        either!(self.state())
    }

    /// Whether a server has taken its announcement back by the time that its client comes. If not, it
    /// does so in [`Self::acknowledge`], and before that a client must not get so far that the same
    /// channel might be announced anew.
    pub fn withdraws_first(&self) -> bool {
        match &self.channel {
            Channel::Ring(channel) => channel.withdraws_first(),
            Channel::Socket(_) => false,
        }
    }

    /// Reads what is there, up to the buffer's length; 0 means nothing now.
    ///
    /// When it returns less than asked, the peer's next bytes make [`Self::fd`] readable.
    /// [`StreamError::Closed`] comes once the peer left and everything has been read.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, StreamError> {
        either!(self.read(buffer))
    }

    /// Writes as much as fits; 0 means full now.
    ///
    /// When it returns less than given, the peer's next reading makes [`Self::fd`] readable.
    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, StreamError> {
        either!(self.write(bytes))
    }

    /// How many bytes wait to be read. Asks for a wake-up when there are none.
    pub fn readable(&mut self) -> Result<usize, StreamError> {
        self.readable_at_least(1)
    }

    /// How many bytes wait to be read. Asks for a wake-up when they are less than `wanted`.
    ///
    /// More than a ring holds can never wait; `wanted` counts as the ring's size then.
    pub fn readable_at_least(&mut self, wanted: usize) -> Result<usize, StreamError> {
        let wanted = wanted.min(self.receive_ring());
        either!(self.readable_at_least(wanted))
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
        let wanted = wanted.min(self.send_ring());
        either!(self.writable_at_least(wanted))
    }

    /// The size of the ring this side reads: the most that can wait to be read.
    pub fn receive_ring(&self) -> usize {
        match &self.channel {
            Channel::Ring(channel) => channel.receive_size(),
            Channel::Socket(channel) => channel.receive_size(),
        }
    }

    /// The size of the ring this side writes: the most that [`Self::writable`] can say.
    pub fn send_ring(&self) -> usize {
        match &self.channel {
            Channel::Ring(channel) => channel.send_size(),
            Channel::Socket(channel) => channel.send_size(),
        }
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

    /// Closes the channel without cutting the peer off in the middle of its sentence.
    ///
    /// What was written can be read to its end in any case. On a ring this is the same as dropping the
    /// value. On a socket the peer could not even write any more, so that the socket stays open until the
    /// peer has gone too, at most for `patience`.
    pub fn finish(self, patience: Duration) {
        match self.channel {
            Channel::Ring(channel) => drop(channel),
            Channel::Socket(channel) => channel.finish(patience),
        }
    }

    /// Waits for [`Self::fd`] and acknowledges; false when `timeout` (`None`: for ever)
    /// passed first.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        if timeout.is_none()
            && let Channel::Ring(channel) = &mut self.channel
            && channel.wait_for_ever()?
        {
            return Ok(true);
        }
        let fds = match &self.channel {
            Channel::Ring(channel) => channel.fds(),
            Channel::Socket(channel) => (channel.fd(), None),
        };
        let readable = match fds {
            (first, Some(second)) => wait_readable([first, second], timeout)?,
            (only, None) => wait_readable([only], timeout)?,
        };
        if !readable {
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
}

/// Polls descriptors for input on any of them. An interrupting signal counts as a wake-up.
pub(crate) fn wait_readable<const N: usize>(
    fds: [BorrowedFd<'_>; N],
    timeout: Option<Duration>,
) -> io::Result<bool> {
    // Rounded up, so that a wait never ends before its time; the longest poll can express
    // is 24 days, after which callers look again.
    let milliseconds =
        timeout.map(|t| i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
    let limit = match milliseconds {
        None => PollTimeout::NONE,
        Some(ms) => PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX),
    };
    match poll(&mut fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)), limit) {
        Ok(count) => Ok(count > 0),
        Err(nix::Error::EINTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
