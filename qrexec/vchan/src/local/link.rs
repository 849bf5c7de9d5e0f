// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wake-ups and the hand-over of memory on the socket between two local domains.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, recv, recvmsg, send, sendmsg,
};

use super::MeetingPoint;
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
    /// Nobody came yet; the memory waits to be handed over.
    Waiting(MeetingPoint, OwnedFd),
    /// Connected.
    Open(UnixStream),
    /// The peer is gone.
    Dead,
}

impl LocalLink {
    /// A server's link, before the client comes.
    pub fn waiting(meeting: MeetingPoint, memory: OwnedFd) -> Result<Self, OpenError> {
        let watched = watch(meeting.listener())?;
        Ok(Self {
            watched,
            line: Line::Waiting(meeting, memory),
        })
    }

    /// The link of one whose peer is there.
    pub fn open(socket: UnixStream) -> Result<Self, OpenError> {
        let watched = watch(&socket)?;
        Ok(Self {
            watched,
            line: Line::Open(socket),
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
            Line::Waiting(meeting, memory) => {
                let Some(socket) = take_in(meeting, memory)? else {
                    return Ok(());
                };
                self.watched.delete(meeting.listener())?;
                self.watched.add(&socket, input())?;
                self.line = Line::Open(socket);
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
}

fn input() -> EpollEvent {
    EpollEvent::new(EpollFlags::EPOLLIN, 0)
}

fn watch(socket: impl AsFd) -> Result<Epoll, OpenError> {
    let watched = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)
        .map_err(OpenError::system("watch a channel"))?;
    watched
        .add(socket, input())
        .map_err(OpenError::system("watch a channel"))?;
    Ok(watched)
}

/// Accepts the first client that is still there and hands it the memory.
fn take_in(meeting: &MeetingPoint, memory: &OwnedFd) -> io::Result<Option<UnixStream>> {
    while let Some(socket) = meeting.accept()? {
        // One that lost patience before we looked has left; the next one may be still there.
        if hand_over(&socket, memory)? {
            return Ok(Some(socket));
        }
    }
    Ok(None)
}

/// Hands the memory to a client; false when it has left.
pub(super) fn hand_over(socket: &UnixStream, memory: &OwnedFd) -> io::Result<bool> {
    let descriptors = [memory.as_raw_fd()];
    let handed = sendmsg::<()>(
        socket.as_raw_fd(),
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
