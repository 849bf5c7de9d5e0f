// SPDX-License-Identifier: MIT OR Apache-2.0
//! Mapped memory that is unmapped when its owner goes.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;

use bulkhead_xen::gntalloc::GrantedPages;
use bulkhead_xen::gntdev::MappedGrants;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A stretch of memory that another domain may see, whatever made it.
#[derive(Debug)]
pub(crate) enum Region {
    /// A shared file of the local transport.
    File(FileMapping),
    /// Own pages granted to the peer.
    Granted(GrantedPages),
    /// Pages the peer granted.
    Mapped(MappedGrants),
}

impl Region {
    /// Its first byte.
    pub fn start(&self) -> NonNull<u8> {
        match self {
            Self::File(mapping) => mapping.start,
            Self::Granted(pages) => pages.start(),
            Self::Mapped(pages) => pages.start(),
        }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::File(mapping) => mapping.length,
            Self::Granted(pages) => pages.len(),
            Self::Mapped(pages) => pages.len(),
        }
    }
}

/// A file mapped shared, to read and write.
#[derive(Debug)]
pub(crate) struct FileMapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a mapping belongs to the process, not to the thread that made it.
unsafe impl Send for FileMapping {}

impl FileMapping {
    /// Maps the first `length` bytes of a file.
    ///
    /// The caller makes sure that the file is as long and cannot shrink: touching pages
    /// behind the end of a file kills the process.
    pub fn new(file: impl AsFd, length: usize) -> io::Result<Self> {
        let bytes = NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory
        // that anybody uses.
        let start = unsafe { mmap(None, bytes, access, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Self {
            start: start.cast(),
            length,
        })
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Copies bytes to `offset`; fails with `InvalidInput` beyond the end.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let to = self
            .span(offset, bytes.len())
            .ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: `span` checked the bounds, and private memory cannot overlap the mapping.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(())
    }

    /// The address of `length` bytes at `offset`; `None` when they are not all inside.
    pub fn span(&self, offset: usize, length: usize) -> Option<*mut u8> {
        let end = offset.checked_add(length)?;
        // SAFETY: the result points into the mapping, or to its end for an empty span.
        (end <= self.length).then(|| unsafe { self.start.as_ptr().add(offset) })
    }
}

impl Drop for FileMapping {
    fn drop(&mut self) {
        // SAFETY: this is the range that `new` mapped; nothing else unmaps it, and whoever
        // used its pointers held this value.
        let _ = unsafe { munmap(self.start.cast(), self.length) };
    }
}
