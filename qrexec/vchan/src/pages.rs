// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that one domain lets another one read.

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
}

impl SharedPages {
    pub(crate) fn local(pages: LocalPages) -> Self {
        Self {
            pages: Shared::Local(pages),
        }
    }

    /// One reference per page, in order; this is what the peer needs to map them.
    pub fn refs(&self) -> &[u32] {
        match &self.pages {
            Shared::Local(pages) => pages.references(),
        }
    }

    /// Copies bytes to `offset`.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), ShareError> {
        check_bounds(offset, bytes.len(), self.len())?;
        match &mut self.pages {
            Shared::Local(pages) => pages.write(offset, bytes),
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
}

impl MappedPages {
    pub(crate) fn local(pages: LocalPages) -> Self {
        Self {
            pages: Mapped::Local(pages),
        }
    }

    /// Copies bytes out from `offset`. The owner may be changing them meanwhile.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), ShareError> {
        check_bounds(offset, buffer.len(), self.len())?;
        match &self.pages {
            Mapped::Local(pages) => pages.read(offset, buffer),
        }
    }

    /// The size in bytes, a multiple of the page size.
    pub fn len(&self) -> usize {
        match &self.pages {
            Mapped::Local(pages) => pages.references().len() * PAGE,
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
