// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages of another domain mapped here (`/dev/xen/gntdev`).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;

use bulkhead_types::DomId;

use crate::grant::{OnUnmap, domid, packed};
use crate::ioctl::{self, DeviceMapping, MapGrantRef, UnmapGrantRef, request};

/// The kernel's device.
pub const DEVICE: &str = "/dev/xen/gntdev";

/// The number of the request that gives pages back, for lists of what a process may ask.
pub const UNMAP_REQUEST: u64 = request::UNMAP_GRANT_REF.number();

/// Which word of [`MapGrantRef`] the kernel puts the index into.
const INDEX: usize = std::mem::offset_of!(MapGrantRef, index) / size_of::<u64>();

/// References that the kernel holds ready to be mapped, through the device that has them.
///
/// The device maps nothing else unless it is asked to, so it can be handed to a process that
/// may not ask ([`Self::into_device`], [`MappedGrants::of_device`]). Given back when dropped.
#[derive(Debug)]
pub struct HeldGrants {
    device: File,
    index: u64,
    count: u32,
}

impl HeldGrants {
    /// Has pages of `owner` held ready. Whether they exist shows when they are mapped.
    pub fn hold(owner: DomId, references: &[u32]) -> io::Result<Self> {
        let count = u32::try_from(references.len())
            .ok()
            .filter(|count| *count > 0);
        let count = count.ok_or(io::ErrorKind::InvalidInput)?;
        let device = ioctl::open(DEVICE)?;
        let head = [count, 0, 0, 0];
        let list = references
            .iter()
            .flat_map(|reference| [domid(owner), *reference]);
        let mut buffer = packed(head.into_iter().chain(list));
        // SAFETY: the words hold count, padding, room for the index, and `count` pairs of
        // domain and reference, in the header's order.
        unsafe { request::MAP_GRANT_REF.issue_long(&device, &mut buffer) }?;
        Ok(Self {
            device,
            index: buffer[INDEX],
            count,
        })
    }

    /// The device, and at which index of it how many pages are.
    pub fn into_device(self) -> (OwnedFd, u64, u32) {
        (self.device.into(), self.index, self.count)
    }
}

/// Pages that another domain granted, mapped side by side. The owner may change their
/// content at any time. Unmapped when dropped.
#[derive(Debug)]
pub struct MappedGrants {
    /// `None` only while being dropped: unmapped before the references are given back.
    mapping: Option<DeviceMapping>,
    index: u64,
    count: u32,
    device: File,
}

impl MappedGrants {
    /// Maps pages of `owner`, to write too if `writable`, which the grants must allow.
    pub fn map(owner: DomId, references: &[u32], writable: bool) -> io::Result<Self> {
        let (device, index, count) = HeldGrants::hold(owner, references)?.into_device();
        Self::of_device(device, index, count, writable)
    }

    /// Maps what a device holds ready, to write too if `writable`.
    pub fn of_device(device: OwnedFd, index: u64, count: u32, writable: bool) -> io::Result<Self> {
        // From here on an error gives the references back.
        let mut mapped = Self {
            mapping: None,
            index,
            count,
            device: device.into(),
        };
        let mapping = DeviceMapping::new(mapped.device.as_fd(), index, count as usize, writable)?;
        mapped.mapping = Some(mapping);
        Ok(mapped)
    }

    /// Sets what happens when these pages are unmapped, replacing what was set before.
    pub fn on_unmap(&self, action: OnUnmap) -> io::Result<()> {
        let mut notify = action.request(self.index);
        request::SET_UNMAP_NOTIFY
            .issue(&self.device, &mut notify)
            .map(drop)
    }

    /// The first byte.
    pub fn start(&self) -> NonNull<u8> {
        self.mapping
            .as_ref()
            .map_or(NonNull::dangling(), DeviceMapping::start)
    }

    /// The size in bytes.
    pub fn len(&self) -> usize {
        self.mapping.as_ref().map_or(0, DeviceMapping::len)
    }

    /// Always false: at least one page is mapped.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes out from `offset`; fails with `InvalidInput` beyond the end.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> io::Result<()> {
        let mapping = self.mapping.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
        let from = mapping
            .span(offset, buffer.len())
            .ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: `span` checked the bounds, and private memory cannot overlap the mapping.
        // The owner may write meanwhile: then the copy holds whatever it wrote.
        unsafe { std::ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), buffer.len()) };
        Ok(())
    }
}

impl Drop for MappedGrants {
    fn drop(&mut self) {
        drop(self.mapping.take());
        let mut unmap = UnmapGrantRef {
            index: self.index,
            count: self.count,
            pad: 0,
        };
        let _ = request::UNMAP_GRANT_REF.issue(&self.device, &mut unmap);
    }
}
