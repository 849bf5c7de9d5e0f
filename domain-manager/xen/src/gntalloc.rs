// SPDX-License-Identifier: MIT OR Apache-2.0
//! Own pages granted to another domain (`/dev/xen/gntalloc`).

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use bulkhead_types::DomId;

use crate::grant::{OnUnmap, halves, packed};
use crate::ioctl::{self, AllocGref, DeallocGref, DeviceMapping, GNTALLOC_FLAG_WRITABLE, request};

/// The kernel's device. Its module grants 1024 pages unless loaded with `limit=N`.
pub const DEVICE: &str = "/dev/xen/gntalloc";

/// Words of [`AllocGref`] before its references.
const HEAD: usize = std::mem::offset_of!(AllocGref, gref_ids) / size_of::<u64>();

/// Pages of this domain that one other domain may map. Zero at first.
///
/// When dropped the grant ends as soon as the peer has unmapped it; until then the memory
/// stays allocated, but it is never given to anybody else.
#[derive(Debug)]
pub struct GrantedPages {
    /// `None` only while being dropped: unmapped before the grant is given back.
    mapping: Option<DeviceMapping>,
    references: Vec<u32>,
    index: u64,
    device: File,
}

impl GrantedPages {
    /// Grants `pages` fresh pages to `peer`, to write too if `writable`.
    ///
    /// Fails with `ENOSPC` at the module's limit.
    pub fn share(peer: DomId, pages: usize, writable: bool) -> io::Result<Self> {
        let count = u32::try_from(pages).ok().filter(|count| *count > 0);
        let count = count.ok_or(io::ErrorKind::InvalidInput)?;
        let device = ioctl::open(DEVICE)?;
        let flags = if writable { GNTALLOC_FLAG_WRITABLE } else { 0 };
        let [low, high] = [peer.get().to_ne_bytes(), flags.to_ne_bytes()];
        let first = u32::from_ne_bytes([low[0], low[1], high[0], high[1]]);
        let mut buffer = packed([first, count]);
        buffer.resize(HEAD + pages.div_ceil(2), 0);
        // SAFETY: the words hold domid, flags and count in the header's order, and there is
        // room for `count` references after the head.
        unsafe { request::ALLOC_GREF.issue_long(&device, &mut buffer) }?;
        let index = buffer[HEAD - 1];
        let references = buffer[HEAD..]
            .iter()
            .flat_map(|word| halves(*word))
            .take(pages)
            .collect();
        // From here on an error gives the grant back.
        let mut granted = Self {
            mapping: None,
            references,
            index,
            device,
        };
        granted.mapping = Some(DeviceMapping::new(
            granted.device.as_fd(),
            index,
            pages,
            true,
        )?);
        Ok(granted)
    }

    /// Sets what happens when these pages go away, replacing what was set before.
    pub fn on_unmap(&self, action: OnUnmap) -> io::Result<()> {
        let mut notify = action.request(self.index);
        request::SET_UNMAP_NOTIFY
            .issue(&self.device, &mut notify)
            .map(drop)
    }

    /// One reference per page, for the peer to map.
    pub fn references(&self) -> &[u32] {
        &self.references
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

    /// Always false: at least one page is granted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies bytes to `offset`; fails with `InvalidInput` beyond the end.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let mapping = self.mapping.as_ref().ok_or(io::ErrorKind::InvalidInput)?;
        let to = mapping
            .span(offset, bytes.len())
            .ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: `span` checked the bounds, and private memory cannot overlap the mapping.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }
}

impl Drop for GrantedPages {
    fn drop(&mut self) {
        drop(self.mapping.take());
        let mut dealloc = DeallocGref {
            index: self.index,
            count: self.references.len() as u32,
        };
        // The kernel keeps pages that the peer still maps and tries again later by itself.
        let _ = request::DEALLOC_GREF.issue(&self.device, &mut dealloc);
    }
}
