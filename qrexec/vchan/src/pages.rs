// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that one domain lets another one read.

use std::io;

use bulkhead_types::DomId;
use bulkhead_xen::gntalloc::GrantedPages;
use bulkhead_xen::gntdev::MappedGrants;

use crate::ShareError;
use crate::local::LocalPages;
use crate::ring::PAGE;

/// The most pages in one share: a little more than a window of 16384 × 6144 pixels needs.
pub const SHARE_MAX: usize = 100_000;

/// Pages of this domain that a peer may read.
#[derive(Debug)]
pub struct SharedPages {
    pages: Shared,
}

#[derive(Debug)]
enum Shared {
    Local(LocalPages),
    Xen(GrantedPages),
}

impl SharedPages {
    pub(crate) fn local(pages: LocalPages) -> Self {
        Self {
            pages: Shared::Local(pages),
        }
    }

    pub(crate) fn xen(peer: DomId, pages: usize) -> Result<Self, ShareError> {
        if pages == 0 || pages > SHARE_MAX {
            return Err(ShareError::Count {
                asked: pages,
                limit: SHARE_MAX,
            });
        }
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
            Shared::Local(pages) => pages.write(offset, bytes),
            Shared::Xen(pages) => pages
                .write(offset, bytes)
                .map_err(|source| ShareError::System {
                    what: "write shared pages",
                    source,
                }),
        }
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

/// Pages of a peer that this domain reads.
#[derive(Debug)]
pub struct MappedPages {
    pages: Mapped,
}

#[derive(Debug)]
enum Mapped {
    Local(LocalPages),
    Xen(MappedGrants),
}

impl MappedPages {
    pub(crate) fn local(pages: LocalPages) -> Self {
        Self {
            pages: Mapped::Local(pages),
        }
    }

    pub(crate) fn xen(owner: DomId, references: &[u32]) -> Result<Self, ShareError> {
        if references.is_empty() || references.len() > SHARE_MAX {
            return Err(ShareError::Count {
                asked: references.len(),
                limit: SHARE_MAX,
            });
        }
        let mapped = MappedGrants::map(owner, references, false);
        let pages = mapped.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ShareError::System {
                what: "reach /dev/xen/gntdev",
                source: error,
            },
            _ => ShareError::NoSuchPages {
                owner,
                source: Some(error),
            },
        })?;
        Ok(Self {
            pages: Mapped::Xen(pages),
        })
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

    /// The size in bytes, a multiple of the page size.
    pub fn len(&self) -> usize {
        match &self.pages {
            Mapped::Local(pages) => pages.references().len() * PAGE,
            Mapped::Xen(pages) => pages.len(),
        }
    }

    /// Always false: a share has at least one page.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
