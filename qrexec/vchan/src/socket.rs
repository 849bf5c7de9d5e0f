// SPDX-License-Identifier: MIT OR Apache-2.0
//! The socket transport: bytes on a Unix socket and nothing else, as Qubes' vchan simulator
//! has it, so that its programs and tests can be the peer.
//!
//! The listener is closed and its name removed as soon as the client came: whoever uses the
//! same port next meets the next server.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Port};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{MsgFlags, recv, send};

use crate::local::{Meeting, MeetingPoint, arrive, ring};
use crate::patience::Patience;
use crate::ring::{Orders, Which};
use crate::stream::wait_readable;
use crate::{OpenError, State, StreamError};

/// The most that this transport promises to hold: less than a socket's default buffer.
const HOLDS_MAX: usize = 128 * 1024;
/// The ring of a client, as the simulator has it.
const CLIENT_RING: usize = 4096;

/// A channel that is a socket.
#[derive(Debug)]
pub(crate) struct SocketChannel {
    watched: Epoll,
    line: Line,
    /// Written before the client came.
    early: Vec<u8>,
    /// What the caller waits for; the socket is watched for this and no more, so that bytes
    /// nobody wants yet keep nobody awake.
    wants: EpollFlags,
    receive_size: usize,
    send_size: usize,
    /// The peer is gone; what it sent may still be read.
    left: bool,
}

#[derive(Debug)]
enum Line {
    Waiting(MeetingPoint),
    Open(UnixStream),
}

/// Where a channel's ends meet. The server may be Qubes' simulator, which rings no bell.
fn meeting(server: DomId, client: DomId, port: Port) -> Meeting {
    Meeting {
        kind: "vchan",
        server,
        client,
        port,
        comes: false,
    }
}

impl SocketChannel {
    /// Listens for the client.
    pub fn serve(
        folder: &Path,
        server: DomId,
        client: DomId,
        port: Port,
        orders: Orders,
    ) -> Result<Self, OpenError> {
        let meeting = meeting(server, client, port);
        let point = MeetingPoint::open(folder, meeting)?;
        ring(folder, meeting);
        let watched = epoll()?;
        watched
            .add(point.listener(), input())
            .map_err(OpenError::system("watch a channel"))?;
        let (receive, send) = (orders.size(Which::Left), orders.size(Which::Right));
        Ok(Self::new(watched, Line::Waiting(point), receive, send))
    }

    /// Connects as soon as the server listens.
    pub fn connect(
        folder: &Path,
        server: DomId,
        client: DomId,
        port: Port,
        patience: Patience<'_>,
    ) -> Result<Self, OpenError> {
        let greet = |socket| Ok(Some(socket));
        let found = arrive(folder, meeting(server, client, port), patience, greet)?;
        let socket = found.ok_or(OpenError::TimedOut { server, port })?;
        let watched = epoll()?;
        let all = EpollEvent::new(EpollFlags::EPOLLIN | quiet(), 0);
        watched
            .add(&socket, all)
            .map_err(OpenError::system("watch a channel"))?;
        Ok(Self::new(
            watched,
            Line::Open(socket),
            CLIENT_RING,
            CLIENT_RING,
        ))
    }

    fn new(watched: Epoll, line: Line, receive: usize, send: usize) -> Self {
        let (receive_size, send_size) = (receive.min(HOLDS_MAX), send.min(HOLDS_MAX));
        Self {
            watched,
            line,
            early: Vec::new(),
            wants: EpollFlags::EPOLLIN,
            receive_size,
            send_size,
            left: false,
        }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watched.0.as_fd()
    }

    pub fn receive_size(&self) -> usize {
        self.receive_size
    }

    pub fn send_size(&self) -> usize {
        self.send_size
    }

    pub fn state(&mut self) -> State {
        match self.line {
            Line::Waiting(_) => State::Waiting,
            Line::Open(_) if self.left => State::Closed,
            Line::Open(_) => State::Connected,
        }
    }

    pub fn acknowledge(&mut self) -> io::Result<()> {
        match &self.line {
            Line::Waiting(meeting) => {
                let Some(socket) = meeting.accept()? else {
                    return Ok(());
                };
                self.watched.delete(meeting.listener())?;
                self.watched
                    .add(&socket, EpollEvent::new(self.wants | quiet(), 0))?;
                self.line = Line::Open(socket);
                self.send_early()
            }
            Line::Open(_) if self.left => Ok(()),
            Line::Open(_) => {
                let mut events = [EpollEvent::empty()];
                if self.watched.wait(&mut events, EpollTimeout::ZERO)? == 0 {
                    return Ok(());
                }
                let happened = events[0].events();
                self.wants -= happened;
                let end = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
                if happened.intersects(end) {
                    self.peer_left();
                    return Ok(());
                }
                self.send_early()?;
                self.watch()
            }
        }
    }

    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, StreamError> {
        let mut done = 0;
        while done < buffer.len() {
            let Line::Open(socket) = &self.line else {
                return Ok(0);
            };
            match recv(
                socket.as_raw_fd(),
                &mut buffer[done..],
                MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(0) | Err(nix::Error::ECONNRESET) => {
                    self.peer_left();
                    return if done == 0 {
                        Err(StreamError::Closed)
                    } else {
                        Ok(done)
                    };
                }
                Ok(count) => done += count,
                Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => {
                    self.want(EpollFlags::EPOLLIN)?;
                    break;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<usize, StreamError> {
        let socket = match &self.line {
            Line::Open(_) if self.left => return Err(StreamError::Closed),
            Line::Open(socket) if self.early.is_empty() => socket,
            _ => {
                let count = bytes
                    .len()
                    .min(self.send_size - self.early.len().min(self.send_size));
                self.early.extend(&bytes[..count]);
                return Ok(count);
            }
        };
        let mut done = 0;
        while done < bytes.len() {
            match send(
                socket.as_raw_fd(),
                &bytes[done..],
                MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            ) {
                Ok(count) => done += count,
                Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => {
                    self.want(EpollFlags::EPOLLOUT)?;
                    break;
                }
                Err(nix::Error::EPIPE | nix::Error::ECONNRESET) => {
                    self.peer_left();
                    return if done == 0 {
                        Err(StreamError::Closed)
                    } else {
                        Ok(done)
                    };
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    pub fn readable_at_least(&mut self, wanted: usize) -> Result<usize, StreamError> {
        let Line::Open(socket) = &self.line else {
            return Ok(0);
        };
        let mut waiting: libc::c_int = 0;
        // SAFETY: FIONREAD stores one int, for which there is room.
        let failed =
            unsafe { libc::ioctl(socket.as_raw_fd(), libc::FIONREAD, &raw mut waiting) } < 0;
        if failed {
            return Err(io::Error::last_os_error().into());
        }
        let ready = usize::try_from(waiting).unwrap_or(0).min(self.receive_size);
        // A socket cannot be asked to wait for more bytes than the first.
        if ready < wanted && !self.left {
            self.want(EpollFlags::EPOLLIN)?;
        }
        Ok(ready)
    }

    pub fn writable_at_least(&mut self, wanted: usize) -> Result<usize, StreamError> {
        let space = match &self.line {
            // Nothing comes of waiting for room; the next write tells why.
            Line::Open(_) if self.left => self.send_size,
            Line::Open(socket) if self.early.is_empty() => {
                let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
                let ready = poll(&mut fds, PollTimeout::ZERO)? > 0;
                // Writable to poll means that most of the socket's buffer is free.
                if ready { self.send_size } else { 0 }
            }
            _ => self.send_size - self.early.len().min(self.send_size),
        };
        if space < wanted {
            self.want(EpollFlags::EPOLLOUT)?;
        }
        Ok(space)
    }

    /// Says that nothing more comes, and takes in what the peer still says until it has gone too or
    /// `patience` has passed. A peer that writes into a closed socket gets a signal instead of a result.
    pub fn finish(self, patience: Duration) {
        let Line::Open(socket) = &self.line else {
            return;
        };
        if self.left || socket.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let deadline = Instant::now() + patience;
        let mut bytes = [0; 4096];
        loop {
            match recv(socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
                Ok(1..) | Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !wait_readable([socket.as_fd()], Some(left)).unwrap_or(false) {
                        return;
                    }
                }
                Ok(0) | Err(_) => return,
            }
            if Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Sends what was written before the client came.
    fn send_early(&mut self) -> io::Result<()> {
        let Line::Open(socket) = &self.line else {
            return Ok(());
        };
        while !self.early.is_empty() {
            match send(
                socket.as_raw_fd(),
                &self.early,
                MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            ) {
                Ok(count) => drop(self.early.drain(..count)),
                Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) => return self.want(EpollFlags::EPOLLOUT),
                Err(nix::Error::EPIPE | nix::Error::ECONNRESET) => {
                    self.peer_left();
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn want(&mut self, flag: EpollFlags) -> io::Result<()> {
        self.wants |= flag;
        self.watch()
    }

    /// Watches for what is wanted. What is true already is noticed by this very call.
    fn watch(&self) -> io::Result<()> {
        if let (Line::Open(socket), false) = (&self.line, self.left) {
            self.watched
                .modify(socket, &mut EpollEvent::new(self.wants | quiet(), 0))?;
        }
        Ok(())
    }

    /// From here on the descriptor is silent.
    fn peer_left(&mut self) {
        if let Line::Open(socket) = &self.line {
            let _ = self.watched.delete(socket);
            self.left = true;
        }
    }
}

fn epoll() -> Result<Epoll, OpenError> {
    Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(OpenError::system("watch a channel"))
}

fn input() -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN, 0)
}

/// Always with the flags that are wanted: the peer's end, and silence after each event.
fn quiet() -> EpollFlags {
    EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLONESHOT
}
