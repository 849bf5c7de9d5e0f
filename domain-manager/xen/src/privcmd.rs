// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one question that only a hypercall answers (`/dev/xen/privcmd`).

use std::fs::{File, OpenOptions};
use std::io;

use crate::evtchn::EventPort;
use crate::ioctl::{EvtchnStatus, Hypercall, request};

/// The kernel's device; root's alone.
pub const DEVICE: &str = "/dev/xen/privcmd";

/// `__HYPERVISOR_event_channel_op`.
pub(crate) const EVENT_CHANNEL_OP: u64 = 32;
/// `EVTCHNOP_status`.
pub(crate) const STATUS: u64 = 5;
/// `DOMID_SELF`.
pub(crate) const SELF: u16 = 0x7ff0;
/// `EVTCHNSTAT_interdomain`.
pub(crate) const INTERDOMAIN: u32 = 2;

/// Leave to make hypercalls.
#[derive(Debug)]
pub struct Privcmd {
    device: File,
}

impl Privcmd {
    /// Opens the device. Fails for who is not root.
    pub fn open() -> io::Result<Self> {
        Ok(Self {
            device: OpenOptions::new().read(true).write(true).open(DEVICE)?,
        })
    }

    /// Whether a port of this domain is connected to another domain that still has its end.
    pub fn is_connected(&self, port: EventPort) -> io::Result<bool> {
        let mut status = EvtchnStatus {
            dom: SELF,
            port: port.0,
            status: 0,
            vcpu: 0,
            remote: [0; 2],
        };
        let place = std::ptr::from_mut(&mut status) as u64;
        let mut call = Hypercall {
            op: EVENT_CHANNEL_OP,
            arg: [STATUS, place, 0, 0, 0],
        };
        // Xen writes into `status`, which was just written to and so is in memory; were it not,
        // the call would fail and be tried again another time.
        request::HYPERCALL.issue(&self.device, &mut call)?;
        // SAFETY: the place is that of a live value of this type; Xen wrote to it behind the
        // compiler's back.
        let status = unsafe { std::ptr::read_volatile(&raw const status) };
        Ok(status.status == INTERDOMAIN)
    }
}
