// SPDX-License-Identifier: MIT OR Apache-2.0
//! A channel over a ring, whatever its memory and its wake-ups are made of.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use crate::local::LocalLink;
use crate::ring::{End, Peer, SharedRing, Wake};
use crate::stream::wait_readable;
use crate::xen::XenLink;
use crate::{State, StreamError};

/// How long a server's pages wait for its client to unmap them. A client that hears of the end does so
/// in far less; one that does not hear is stopped, or means harm.
const UNMAPPING: Duration = Duration::from_millis(250);

/// One end of the ring and what goes with it.
#[derive(Debug)]
pub(crate) struct RingChannel {
    // Dropped in this order: the kernel may send the last wake-up while unmapping.
    end: End<SharedRing>,
    link: Link,
}

/// What carries wake-ups and the news of the peer's death.
#[derive(Debug)]
pub(crate) enum Link {
    /// The local transport's socket.
    Local(LocalLink),
    /// An event channel, and xenstore where it tells of deaths.
    Xen(Box<XenLink>),
}

impl Link {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Local(link) => link.fd(),
            Self::Xen(link) => link.fd(),
        }
    }

    fn fds(&self) -> (BorrowedFd<'_>, Option<BorrowedFd<'_>>) {
        match self {
            Self::Local(link) => (link.fd(), None),
            Self::Xen(link) => link.fds(),
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

impl RingChannel {
    pub fn new(end: End<SharedRing>, link: Link) -> Self {
        Self { end, link }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.link.fd()
    }

    pub fn fds(&self) -> (BorrowedFd<'_>, Option<BorrowedFd<'_>>) {
        self.link.fds()
    }

    pub fn acknowledge(&mut self) -> io::Result<()> {
        self.link.acknowledge()?;
        self.welcome();
        Ok(())
    }

    /// Lets go of everything by which other domains can be reached.
    pub fn keep_to_itself(&mut self) {
        if let Link::Xen(link) = &mut self.link {
            link.leave_xenstore();
        }
    }

    pub fn withdraws_first(&self) -> bool {
        matches!(self.link, Link::Local(_))
    }

    /// Waits for a wake-up in one go and takes it in. False at once where that cannot be done.
    pub fn wait_for_ever(&mut self) -> io::Result<bool> {
        let Link::Xen(link) = &mut self.link else {
            return Ok(false);
        };
        let waited = link.wait_for_ever()?;
        self.welcome();
        Ok(waited)
    }

    /// Nobody else shall find the offer once its client came.
    fn welcome(&mut self) {
        match &mut self.link {
            Link::Xen(link) if self.end.peer() != Peer::NotYet => link.withdraw(),
            _ => {}
        }
    }

    pub fn state(&mut self) -> State {
        match self.end.peer() {
            _ if self.link.peer_lost() => State::Closed,
            Peer::NotYet => State::Waiting,
            Peer::Live => State::Connected,
            Peer::Gone => State::Closed,
        }
    }

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

    pub fn readable_at_least(&mut self, wanted: usize) -> Result<usize, StreamError> {
        let ready = self.end.ready()? as usize;
        if ready >= wanted {
            Ok(ready)
        } else {
            Ok(self.end.want_data()? as usize)
        }
    }

    pub fn writable_at_least(&mut self, wanted: usize) -> Result<usize, StreamError> {
        let space = self.end.space()? as usize;
        if space >= wanted {
            Ok(space)
        } else {
            Ok(self.end.want_space()? as usize)
        }
    }

    pub fn receive_size(&self) -> usize {
        self.end.receive_size()
    }

    pub fn send_size(&self) -> usize {
        self.end.send_size()
    }

    fn pay(&self, wake: Wake) {
        if wake.0 {
            self.link.wake_peer();
        }
    }

    /// Waits until the client has unmapped what this end granted to it.
    ///
    /// Linux takes back at once only grants that nobody has mapped. It comes back to the others
    /// later, to ten of them a second, and has 32 768 in all: without this, whoever makes calls
    /// faster than that has none left in the end.
    fn await_unmapping(&mut self) -> io::Result<()> {
        if !self.end.is_server() || !matches!(self.link, Link::Xen(_)) {
            return Ok(());
        }
        let deadline = Instant::now() + UNMAPPING;
        while self.state() == State::Connected {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !wait_readable([self.link.fd()], Some(left))? {
                break;
            }
            self.link.acknowledge()?;
        }
        Ok(())
    }
}

impl Drop for RingChannel {
    fn drop(&mut self) {
        if matches!(self.link, Link::Xen(_)) {
            self.end.let_go_of_rings();
        }
        self.end.leave();
        self.link.wake_peer();
        // Whose wake-ups cannot be heard does not wait for them.
        let _ = self.await_unmapping();
    }
}
