// SPDX-License-Identifier: MIT OR Apache-2.0
//! Event channels (`/dev/xen/evtchn`): a wake-up from one domain to another.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use bulkhead_types::DomId;

use crate::ioctl::{self, BindInterdomain, BindUnboundPort, PortOnly, request};

/// The kernel's device.
pub const DEVICE: &str = "/dev/xen/evtchn";

/// A local port of an event channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventPort(pub u32);

/// An open event channel device with the ports bound through it; they go when it is dropped.
#[derive(Debug)]
pub struct EventChannels {
    device: File,
}

impl EventChannels {
    /// Opens the device, without blocking reads.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            device: ioctl::open(DEVICE)?,
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
    pub fn pending(&self) -> io::Result<Option<EventPort>> {
        let mut port = [0; 4];
        loop {
            match (&self.device).read(&mut port) {
                Ok(4) => return Ok(Some(EventPort(u32::from_ne_bytes(port)))),
                Ok(_) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => return Ok(None),
                    _ => return Err(error),
                },
            }
        }
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
