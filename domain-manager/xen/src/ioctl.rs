// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers and structures of the kernel's Xen devices (`<xen/evtchn.h>`,
//! `<xen/gntdev.h>`, `<xen/gntalloc.h>`), computed from the structures and tested against the
//! installed headers.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

/// `struct ioctl_evtchn_bind_interdomain`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct BindInterdomain {
    pub remote_domain: u32,
    pub remote_port: u32,
}

/// `struct ioctl_evtchn_bind_unbound_port`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct BindUnboundPort {
    pub remote_domain: u32,
}

/// `struct ioctl_evtchn_unbind` and `struct ioctl_evtchn_notify`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct PortOnly {
    pub port: u32,
}

/// `struct ioctl_gntdev_grant_ref`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct GrantRef {
    pub domid: u32,
    pub reference: u32,
}

/// `struct ioctl_gntdev_map_grant_ref` with one of its references.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct MapGrantRef {
    pub count: u32,
    pub pad: u32,
    pub index: u64,
    pub refs: [GrantRef; 1],
}

/// `struct ioctl_gntdev_unmap_grant_ref`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct UnmapGrantRef {
    pub index: u64,
    pub count: u32,
    pub pad: u32,
}

/// `struct ioctl_gntdev_unmap_notify` and `struct ioctl_gntalloc_unmap_notify`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct UnmapNotify {
    pub index: u64,
    pub action: u32,
    pub event_channel_port: u32,
}

/// `struct ioctl_gntalloc_alloc_gref` with one of its references.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct AllocGref {
    pub domid: u16,
    pub flags: u16,
    pub count: u32,
    pub index: u64,
    pub gref_ids: [u32; 1],
}

/// `struct ioctl_gntalloc_dealloc_gref`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct DeallocGref {
    pub index: u64,
    pub count: u32,
}

/// Clear the byte at the index when the page is unmapped.
pub(crate) const UNMAP_NOTIFY_CLEAR_BYTE: u32 = 1;
/// Send an event when the page is unmapped.
pub(crate) const UNMAP_NOTIFY_SEND_EVENT: u32 = 2;
/// The peer may write the page.
pub(crate) const GNTALLOC_FLAG_WRITABLE: u16 = 1;

/// A request number and the structure it takes: made together, so that they fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<T> {
    number: u64,
    takes: std::marker::PhantomData<T>,
}

impl<T> Request<T> {
    const fn new(group: u8, nr: u8) -> Self {
        // `_IOC(_IOC_NONE, group, nr, sizeof(T))`; libraries of C differ in its type.
        let number = ((size_of::<T>() as u64) << 16) | ((group as u64) << 8) | nr as u64;
        Self {
            number,
            takes: std::marker::PhantomData,
        }
    }

    /// The number, as the header's macro gives it.
    pub const fn number(self) -> u64 {
        self.number
    }

    /// Makes the request. The result is what the kernel returns, at least 0.
    pub fn issue(self, device: &File, argument: &mut T) -> io::Result<u32> {
        // SAFETY: the device takes a `T` by this number, as the tests against the headers
        // hold, and `argument` is one that lives through the call.
        let result = unsafe {
            libc::ioctl(
                device.as_raw_fd(),
                self.number as libc::Ioctl,
                std::ptr::from_mut(argument),
            )
        };
        u32::try_from(result).map_err(|_| io::Error::last_os_error())
    }

    /// Makes the request with a `T` that goes on in memory after its end.
    ///
    /// # Safety
    ///
    /// `buffer` must begin with a valid `T`, aligned for it, and be as long as the kernel reads
    /// and writes according to the counts in it.
    pub unsafe fn issue_long(self, device: &File, buffer: &mut [u64]) -> io::Result<u32> {
        // SAFETY: the caller vouches for the buffer.
        let result = unsafe {
            libc::ioctl(
                device.as_raw_fd(),
                self.number as libc::Ioctl,
                buffer.as_mut_ptr(),
            )
        };
        u32::try_from(result).map_err(|_| io::Error::last_os_error())
    }
}

/// The requests of each device.
pub(crate) mod request {
    use super::*;

    pub const BIND_INTERDOMAIN: Request<BindInterdomain> = Request::new(b'E', 1);
    pub const BIND_UNBOUND_PORT: Request<BindUnboundPort> = Request::new(b'E', 2);
    pub const UNBIND: Request<PortOnly> = Request::new(b'E', 3);
    pub const NOTIFY: Request<PortOnly> = Request::new(b'E', 4);
    pub const MAP_GRANT_REF: Request<MapGrantRef> = Request::new(b'G', 0);
    pub const UNMAP_GRANT_REF: Request<UnmapGrantRef> = Request::new(b'G', 1);
    /// Of gntdev and of gntalloc alike.
    pub const SET_UNMAP_NOTIFY: Request<UnmapNotify> = Request::new(b'G', 7);
    pub const ALLOC_GREF: Request<AllocGref> = Request::new(b'G', 5);
    pub const DEALLOC_GREF: Request<DeallocGref> = Request::new(b'G', 6);
}

/// Opens one of the devices to read and write.
pub(crate) fn open(device: &str) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(device)
}

/// Maps `pages` pages of a device, and unmaps them when dropped.
#[derive(Debug)]
pub(crate) struct DeviceMapping {
    start: std::ptr::NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to the process, not to the thread that made it.
unsafe impl Send for DeviceMapping {}

/// The size of a page of a grant.
pub(crate) const PAGE: usize = 4096;

impl DeviceMapping {
    pub fn new(
        device: BorrowedFd<'_>,
        index: u64,
        pages: usize,
        writable: bool,
    ) -> io::Result<Self> {
        use nix::sys::mman::{MapFlags, ProtFlags, mmap};
        let length = pages * PAGE;
        let bytes = std::num::NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        let index = libc::off_t::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?;
        let write = if writable {
            ProtFlags::PROT_WRITE
        } else {
            ProtFlags::empty()
        };
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory that
        // anybody uses.
        let start = unsafe {
            mmap(
                None,
                bytes,
                ProtFlags::PROT_READ | write,
                MapFlags::MAP_SHARED,
                device,
                index,
            )
        }?;
        Ok(Self {
            start: start.cast(),
            length,
        })
    }

    pub fn start(&self) -> std::ptr::NonNull<u8> {
        self.start
    }

    pub fn len(&self) -> usize {
        self.length
    }

    /// The address of `length` bytes at `offset`; `None` when they are not all inside.
    pub fn span(&self, offset: usize, length: usize) -> Option<*mut u8> {
        let end = offset.checked_add(length)?;
        // SAFETY: the result points into the mapping, or to its end for an empty span.
        (end <= self.length).then(|| unsafe { self.start.as_ptr().add(offset) })
    }
}

impl Drop for DeviceMapping {
    fn drop(&mut self) {
        // SAFETY: this is the range that `new` mapped; nothing else unmaps it, and whoever
        // used its pointers held this value.
        let _ = unsafe { nix::sys::mman::munmap(self.start.cast(), self.length) };
    }
}
