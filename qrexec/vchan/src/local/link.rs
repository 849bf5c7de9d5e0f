// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wake-ups and the hand-over of memory on the socket between two local domains.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, recv, recvmsg, send, sendmsg,
};

use super::bell;
use super::{Meeting, MeetingPoint};
use crate::OpenError;
use crate::patience::Patience;

/// The one byte that travels with the memory.
const HAND_OVER: &[u8] = b"v";

/// The local transport's half of a channel that is not memory.
#[derive(Debug)]
pub(crate) struct LocalLink {
    /// What callers poll: first the listening socket is in it, then the connection, and
    /// nothing after the peer's death, so that it falls quiet.
    watched: Epoll,
    line: Line,
}

#[derive(Debug)]
enum Line {
    /// Nobody came yet.
    Waiting(MeetingPoint, Offer),
    /// Connected.
    Open(UnixStream),
    /// The peer is gone.
    Dead,
}

/// A channel that waits for its client.
///
/// Whatever name it has goes before its memory does. A client that has the memory may be done with
/// the channel in no time, and then the name may be that of another one.
#[derive(Debug)]
pub(crate) struct Offer {
    pub folder: PathBuf,
    pub meeting: Meeting,
    pub memory: OwnedFd,
}

impl Offer {
    /// Hands the memory to a client that waits, or lets the next one find it.
    fn make(self) -> Result<Line, OpenError> {
        let Self {
            folder, meeting, ..
        } = &self;
        loop {
            if let Some(client) = bell::come(folder, &meeting.bell()) {
                MeetingPoint::clear(folder, *meeting);
                if self.hand_over(&client).unwrap_or(false) {
                    return Ok(Line::Open(client));
                }
            }
            let point = MeetingPoint::open(folder, *meeting)?;
            // A client that looked before there was a name waits at its bell, and is met there.
            let Some(client) = bell::come(folder, &meeting.bell()) else {
                return Ok(Line::Waiting(point, self));
            };
            let _nameless = point.take_back();
            if self.hand_over(&client).unwrap_or(false) {
                return Ok(Line::Open(client));
            }
        }
    }

    /// Hands the memory to a client; false when it has left.
    fn hand_over(&self, client: &UnixStream) -> io::Result<bool> {
        let descriptors = [self.memory.as_raw_fd()];
        let handed = sendmsg::<()>(
            client.as_raw_fd(),
            &[IoSlice::new(HAND_OVER)],
            &[ControlMessage::ScmRights(&descriptors)],
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            None,
        );
        match handed {
            Ok(_) => Ok(true),
            Err(nix::Error::EPIPE | nix::Error::ECONNRESET) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Line {
    /// What tells of a change.
    fn watched(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Waiting(point, _) => Some(point.listener().as_fd()),
            Self::Open(socket) => Some(socket.as_fd()),
            Self::Dead => None,
        }
    }
}

impl LocalLink {
    /// A server's link, whose client may be there already.
    pub fn offer(offer: Offer) -> Result<Self, OpenError> {
        Self::over(offer.make()?)
    }

    /// The link of one whose peer is there.
    pub fn open(socket: UnixStream) -> Result<Self, OpenError> {
        Self::over(Line::Open(socket))
    }

    fn over(line: Line) -> Result<Self, OpenError> {
        let watched = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
        let mut link = Self {
            watched: watched.map_err(OpenError::system("watch a channel"))?,
            line: Line::Dead,
        };
        let watch = link.become_line(line);
        watch.map_err(OpenError::system("watch a channel"))?;
        Ok(link)
    }

    fn become_line(&mut self, line: Line) -> nix::Result<()> {
        self.line = line;
        let watched = self.line.watched();
        watched.map_or(Ok(()), |fd| {
            self.watched
                .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watched.0.as_fd()
    }

    pub fn peer_lost(&self) -> bool {
        matches!(self.line, Line::Dead)
    }

    /// Makes the peer's descriptor readable.
    pub fn wake_peer(&self) {
        if let Line::Open(socket) = &self.line {
            // A full socket holds wake-ups the peer has not seen yet, and one is enough; a
            // broken one is noticed when its end is read.
            let _ = send(
                socket.as_raw_fd(),
                &[0],
                MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            );
        }
    }

    /// Takes in the client that came, the wake-ups that piled up, or the peer's death.
    pub fn acknowledge(&mut self) -> io::Result<()> {
        match &self.line {
            Line::Waiting(point, _) => {
                if let Some(client) = point.accept()? {
                    self.watched.delete(point.listener())?;
                    self.take_in(client)?;
                }
            }
            Line::Open(socket) => {
                let mut wakes = [0; 256];
                match recv(socket.as_raw_fd(), &mut wakes, MsgFlags::MSG_DONTWAIT) {
                    Ok(0) | Err(nix::Error::ECONNRESET) => {
                        self.watched.delete(socket)?;
                        self.line = Line::Dead;
                    }
                    Ok(_) | Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Line::Dead => {}
        }
        Ok(())
    }

    /// Takes the name back and hands the memory over. A client that lost patience before we looked has
    /// left; then the next one may have the memory.
    fn take_in(&mut self, client: UnixStream) -> io::Result<()> {
        let Line::Waiting(point, offer) = std::mem::replace(&mut self.line, Line::Dead) else {
            return Ok(());
        };
        let _nameless = point.take_back();
        let line = if offer.hand_over(&client)? {
            Line::Open(client)
        } else {
            offer.make().map_err(io::Error::other)?
        };
        Ok(self.become_line(line)?)
    }
}

/// Waits for the server to hand over the memory; `None` when it left instead.
pub(super) fn receive_memory(
    socket: &UnixStream,
    patience: Patience<'_>,
    timed_out: impl Fn() -> OpenError,
) -> Result<Option<OwnedFd>, OpenError> {
    loop {
        let waited = patience.wait(socket.as_fd(), None);
        waited.map_err(OpenError::system("wait for a server"))?;
        let mut byte = [0; 1];
        let mut space = nix::cmsg_space!([std::os::fd::RawFd; 1]);
        let mut parts = [IoSliceMut::new(&mut byte)];
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        let message = match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Ok(message) => message,
            Err(nix::Error::EAGAIN | nix::Error::EINTR) => {
                let over = patience.is_over();
                if over.map_err(OpenError::system("wait for a server"))? {
                    return Err(timed_out());
                }
                continue;
            }
            Err(nix::Error::ECONNRESET) => return Ok(None),
            Err(error) => {
                return Err(OpenError::System {
                    what: "receive a ring",
                    source: error.into(),
                });
            }
        };
        let mut received = None;
        for control in message.cmsgs().into_iter().flatten() {
            let ControlMessageOwned::ScmRights(descriptors) = control else {
                continue;
            };
            for descriptor in descriptors {
                // SAFETY: the kernel made this descriptor for this message just now, and
                // nobody else knows its number. All of them are owned, so none leaks.
                received = Some(unsafe { OwnedFd::from_raw_fd(descriptor) });
            }
        }
        return Ok(received);
    }
}
