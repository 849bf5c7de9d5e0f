// SPDX-License-Identifier: MIT OR Apache-2.0
//! Event channels (`/dev/xen/evtchn`): a wake-up from one domain to another.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use bulkhead_types::DomId;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::ioctl::{self, BindInterdomain, BindUnboundPort, PortOnly, request};

/// The kernel's device.
pub const DEVICE: &str = "/dev/xen/evtchn";

/// The number of the request that wakes a peer, for lists of what a process may ask.
pub const NOTIFY_REQUEST: u64 = request::NOTIFY.number();

/// A local port of an event channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventPort(pub u32);

/// An open event channel device with the ports bound through it; they go when it is dropped.
#[derive(Debug)]
pub struct EventChannels {
    device: File,
    /// Reading waits. Changed only when the other way of reading is asked for, since most
    /// holders keep to one of them and a system call here counts.
    blocking: bool,
}

impl EventChannels {
    /// Opens the device, without blocking reads.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            device: ioctl::open(DEVICE)?,
            blocking: false,
        })
    }

    /// Makes a port that `remote` may connect to.
    pub fn bind_unbound(&self, remote: DomId) -> io::Result<EventPort> {
        let mut bind = BindUnboundPort {
            remote_domain: remote.into(),
        };
        request::BIND_UNBOUND_PORT
            .issue(&self.device, &mut bind)
            .map(EventPort)
    }

    /// Connects to a port that `remote` made for this domain. Result: the port on this side.
    pub fn bind_interdomain(&self, remote: DomId, port: u32) -> io::Result<EventPort> {
        let mut bind = BindInterdomain {
            remote_domain: remote.into(),
            remote_port: port,
        };
        request::BIND_INTERDOMAIN
            .issue(&self.device, &mut bind)
            .map(EventPort)
    }

    /// Gives a port back.
    pub fn unbind(&self, port: EventPort) -> io::Result<()> {
        request::UNBIND
            .issue(&self.device, &mut PortOnly { port: port.0 })
            .map(drop)
    }

    /// Wakes the other side.
    pub fn notify(&self, port: EventPort) -> io::Result<()> {
        request::NOTIFY
            .issue(&self.device, &mut PortOnly { port: port.0 })
            .map(drop)
    }

    /// The next port that was woken, if one was. It stays silent until [`Self::unmask`].
    pub fn pending(&mut self) -> io::Result<Option<EventPort>> {
        self.set_blocking(false)?;
        loop {
            match self.read() {
                Ok(port) => return Ok(Some(port)),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Ok(None),
                    _ => return Err(error),
                },
            }
        }
    }

    /// Waits until a port is woken, however long that takes. Like [`Self::pending`] after a
    /// `poll`, in one system call. `None` when a signal came.
    pub fn wait(&mut self) -> io::Result<Option<EventPort>> {
        self.set_blocking(true)?;
        match self.read() {
            Ok(port) => Ok(Some(port)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read(&self) -> io::Result<EventPort> {
        let mut port = [0; 4];
        match (&self.device).read(&mut port)? {
            4 => Ok(EventPort(u32::from_ne_bytes(port))),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn set_blocking(&mut self, blocking: bool) -> io::Result<()> {
        if self.blocking != blocking {
            let flags = if blocking {
                OFlag::empty()
            } else {
                OFlag::O_NONBLOCK
            };
            fcntl(&self.device, FcntlArg::F_SETFL(flags))?;
            self.blocking = blocking;
        }
        Ok(())
    }

    /// Lets a port be woken again.
    pub fn unmask(&self, port: EventPort) -> io::Result<()> {
        (&self.device).write_all(&port.0.to_ne_bytes())
    }
}

impl AsFd for EventChannels {
    /// Readable when a port was woken.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}
