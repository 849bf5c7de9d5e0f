// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that one domain lets another one read.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bulkhead_types::DomId;
use bulkhead_xen::gntalloc::GrantedPages;
use bulkhead_xen::gntdev::{HeldGrants, MappedGrants};

use crate::copy::{self, PIXEL};
use crate::local::{OwnPages, PeerPages};
use crate::ring::PAGE;
use crate::{ShareError, SharedMemory};

/// The most pages in one share: a little more than a window of 16384 × 6144 pixels needs.
pub const SHARE_MAX: usize = 100_000;

/// Pages of this domain that a peer may read.
#[derive(Debug)]
pub struct SharedPages {
    pages: Shared,
}

#[derive(Debug)]
enum Shared {
    Local(OwnPages),
    Xen(GrantedPages),
}

impl SharedPages {
    pub(crate) fn local(pages: OwnPages) -> Self {
        Self {
            pages: Shared::Local(pages),
        }
    }

    pub(crate) fn xen(peer: DomId, pages: usize) -> Result<Self, ShareError> {
        check_count(pages)?;
        let what = "grant pages (the module xen-gntalloc takes a higher `limit=`)";
        let granted = GrantedPages::share(peer, pages, false);
        let pages = granted.map_err(|source| ShareError::System { what, source })?;
        Ok(Self {
            pages: Shared::Xen(pages),
        })
    }

    /// One reference per page, in order; this is what the peer needs to map them.
    pub fn refs(&self) -> &[u32] {
        match &self.pages {
            Shared::Local(pages) => pages.references(),
            Shared::Xen(pages) => pages.references(),
        }
    }

    /// Copies bytes to `offset`.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), ShareError> {
        check_bounds(offset, bytes.len(), self.len())?;
        match &mut self.pages {
            Shared::Local(pages) => pages.mapping().write(offset, bytes),
            Shared::Xen(pages) => pages.write(offset, bytes),
        }
        .map_err(writing_failed)
    }

    /// Copies `length` bytes at `from` of memory that another program fills to `offset`,
    /// without a stop in between. That program may be writing meanwhile.
    pub fn write_from(
        &mut self,
        offset: usize,
        memory: &SharedMemory,
        from: usize,
        length: usize,
    ) -> Result<(), ShareError> {
        check_bounds(offset, length, self.len())?;
        check_bounds(from, length, memory.len())?;
        match &mut self.pages {
            Shared::Local(pages) => copy::bytes(memory, from, pages.mapping(), offset, length),
            Shared::Xen(pages) => copy::bytes(memory, from, pages, offset, length),
        }
        .map_err(writing_failed)
    }

    /// The size in bytes, a multiple of the page size.
    pub fn len(&self) -> usize {
        self.refs().len() * PAGE
    }

    /// Always false: a share has at least one page.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Pages of a peer, found and not mapped yet: the part of mapping that takes privileges.
///
/// A process that may not open anything is handed the descriptor and the place by one that
/// may, and maps them with [`MappedPages::receive`].
#[derive(Debug)]
pub struct HeldPages {
    descriptor: OwnedFd,
    place: PagesPlace,
}

/// Where pages are behind their descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PagesPlace {
    /// For the device of Xen the place in it that it gave them; `None` for a file, which
    /// begins with them.
    pub index: Option<u64>,
    /// How many they are.
    pub count: u32,
}

impl HeldPages {
    pub(crate) fn local(pages: PeerPages) -> Self {
        let (file, count) = pages.into_file();
        let place = PagesPlace { index: None, count };
        Self {
            descriptor: file.into(),
            place,
        }
    }

    pub(crate) fn xen(owner: DomId, references: &[u32]) -> Result<Self, ShareError> {
        check_count(references.len())?;
        let held = HeldGrants::hold(owner, references);
        let held = held.map_err(|error| not_mapped(owner, error))?;
        let (descriptor, index, count) = held.into_device();
        let place = PagesPlace {
            index: Some(index),
            count,
        };
        Ok(Self { descriptor, place })
    }

    /// The descriptor to hand over, which leads to nothing but these pages as long as it is
    /// only mapped or read.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// Where the pages are behind it.
    pub fn place(&self) -> PagesPlace {
        self.place
    }

    /// Maps them in this process, read-only.
    pub fn map(self, owner: DomId) -> Result<MappedPages, ShareError> {
        MappedPages::receive(owner, self.descriptor, self.place)
    }
}

/// Pages of a peer that this domain reads.
#[derive(Debug)]
pub struct MappedPages {
    pages: Mapped,
}

#[derive(Debug)]
enum Mapped {
    Local(PeerPages),
    Xen(MappedGrants),
}

impl MappedPages {
    /// Maps pages of `owner` that another process of this domain has found, read-only.
    ///
    /// That process is trusted: it says how many there are.
    pub fn receive(
        owner: DomId,
        descriptor: OwnedFd,
        place: PagesPlace,
    ) -> Result<Self, ShareError> {
        check_count(place.count as usize)?;
        let pages = match place.index {
            None => Mapped::Local(PeerPages::of_file(descriptor.into(), place.count)),
            Some(index) => {
                let mapped = MappedGrants::of_device(descriptor, index, place.count, false);
                Mapped::Xen(mapped.map_err(|error| not_mapped(owner, error))?)
            }
        };
        Ok(Self { pages })
    }

    /// Copies bytes out from `offset`. The owner may be changing them meanwhile.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), ShareError> {
        check_bounds(offset, buffer.len(), self.len())?;
        match &self.pages {
            Mapped::Local(pages) => pages.read(offset, buffer),
            Mapped::Xen(pages) => pages
                .read(offset, buffer)
                .map_err(|source| ShareError::System {
                    what: "read shared pages",
                    source,
                }),
        }
    }

    /// Copies pixels of 32 bits to the same place in memory that another program reads,
    /// each with its fourth byte set (opaque, where that byte is looked at).
    ///
    /// `offset` and `length` count bytes and are multiples of 4. The owner may be changing
    /// the pixels meanwhile: then the copy holds some of both.
    pub fn read_opaque(
        &self,
        offset: usize,
        length: usize,
        memory: &mut SharedMemory,
    ) -> Result<(), ShareError> {
        check_bounds(offset, length, self.len().min(memory.len()))?;
        if !offset.is_multiple_of(PIXEL) || !length.is_multiple_of(PIXEL) {
            return Err(ShareError::System {
                what: "copy a part of a pixel",
                source: io::ErrorKind::InvalidInput.into(),
            });
        }
        let failed = |source| ShareError::System {
            what: "read shared pages",
            source,
        };
        match &self.pages {
            Mapped::Local(pages) => pages.read_opaque(offset, length, memory),
            Mapped::Xen(pages) => copy::pixels(pages, memory, offset, length).map_err(failed),
        }
    }

    /// The size in bytes, a multiple of the page size.
    pub fn len(&self) -> usize {
        match &self.pages {
            Mapped::Local(pages) => pages.len(),
            Mapped::Xen(pages) => pages.len(),
        }
    }

    /// Always false: a share has at least one page.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn check_count(asked: usize) -> Result<(), ShareError> {
    if (1..=SHARE_MAX).contains(&asked) {
        Ok(())
    } else {
        Err(ShareError::Count {
            asked,
            limit: SHARE_MAX,
        })
    }
}

fn not_mapped(owner: DomId, error: io::Error) -> ShareError {
    match error.kind() {
        io::ErrorKind::NotFound => ShareError::System {
            what: "reach /dev/xen/gntdev",
            source: error,
        },
        _ => ShareError::NoSuchPages {
            owner,
            source: Some(error),
        },
    }
}

fn writing_failed(source: io::Error) -> ShareError {
    ShareError::System {
        what: "write shared pages",
        source,
    }
}

fn check_bounds(offset: usize, length: usize, size: usize) -> Result<(), ShareError> {
    match offset.checked_add(length) {
        Some(end) if end <= size => Ok(()),
        _ => Err(ShareError::OutOfBounds {
            offset,
            length,
            size,
        }),
    }
}
