// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pages shared between local domains: a file per share.
//!
//! Their owner maps them, and has all their memory before it does. The reader reads them by
//! calls: the owner could shorten the file at any time, and touching a page behind its end
//! would kill the reader.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use bulkhead_types::DomId;
use nix::fcntl::posix_fallocate;

use crate::mapping::FileMapping;
use crate::ring::PAGE;
use crate::{SHARE_MAX, ShareError, SharedMemory, copy};

/// One share, seen by its owner.
#[derive(Debug)]
pub(crate) struct OwnPages {
    mapping: FileMapping,
    references: Vec<u32>,
    path: PathBuf,
}

/// One share, seen by its reader.
#[derive(Debug)]
pub(crate) struct PeerPages {
    file: File,
    count: u32,
}

/// The name of the share that begins with a reference.
fn share_name(owner: DomId, peer: DomId, first: u32) -> String {
    format!("pages.{owner}.{peer}.{first}")
}

impl OwnPages {
    /// Makes zeroed pages.
    pub fn share(
        folder: &Path,
        owner: DomId,
        peer: DomId,
        pages: usize,
    ) -> Result<Self, ShareError> {
        if pages == 0 || pages > SHARE_MAX {
            return Err(ShareError::Count {
                asked: pages,
                limit: SHARE_MAX,
            });
        }
        let failed = |source| ShareError::System {
            what: "make shared pages",
            source,
        };
        loop {
            let first = next_reference(pages);
            let path = folder.join(share_name(owner, peer, first));
            let new = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o644)
                .open(&path);
            match new {
                Ok(file) => {
                    let mapping = fill(&file, pages * PAGE).inspect_err(|_| {
                        let _ = fs::remove_file(&path);
                    });
                    return Ok(Self {
                        mapping: mapping.map_err(failed)?,
                        references: (0..pages as u32).map(|i| first.wrapping_add(i)).collect(),
                        path,
                    });
                }
                // Another process of this domain took the number: try the next.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    pub fn references(&self) -> &[u32] {
        &self.references
    }

    /// The memory itself.
    pub fn mapping(&mut self) -> &mut FileMapping {
        &mut self.mapping
    }
}

/// Gives a file all its memory: what is missing later would kill who touches it.
fn fill(file: &File, length: usize) -> io::Result<FileMapping> {
    let size = i64::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    posix_fallocate(file, 0, size)?;
    FileMapping::new(file, length)
}

impl Drop for OwnPages {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl PeerPages {
    /// Opens pages that `owner` shared with `reader`.
    pub fn map(
        folder: &Path,
        owner: DomId,
        reader: DomId,
        references: &[u32],
    ) -> Result<Self, ShareError> {
        let absent = |source| ShareError::NoSuchPages { owner, source };
        let first = *references.first().ok_or(ShareError::Count {
            asked: 0,
            limit: SHARE_MAX,
        })?;
        if references.len() > SHARE_MAX {
            return Err(ShareError::Count {
                asked: references.len(),
                limit: SHARE_MAX,
            });
        }
        let consecutive = references
            .iter()
            .enumerate()
            .all(|(i, r)| *r == first.wrapping_add(i as u32));
        if !consecutive {
            return Err(absent(None));
        }
        let path = folder.join(share_name(owner, reader, first));
        let file = OpenOptions::new()
            .read(true)
            // The owner may have put anything there: no waiting on a pipe, no link out.
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .map_err(|source| absent(Some(source)))?;
        let found = file.metadata().map_err(|source| absent(Some(source)))?;
        if !found.is_file() || found.len() < (references.len() * PAGE) as u64 {
            return Err(absent(None));
        }
        Ok(Self::of_file(file, references.len() as u32))
    }

    /// Pages that a file begins with.
    pub fn of_file(file: File, count: u32) -> Self {
        Self { file, count }
    }

    /// The file, and how many pages it begins with.
    pub fn into_file(self) -> (File, u32) {
        (self.file, self.count)
    }

    /// The size in bytes.
    pub fn len(&self) -> usize {
        self.count as usize * PAGE
    }

    /// Reads pixels into memory, within bounds the caller checked.
    pub fn read_opaque(
        &self,
        offset: usize,
        length: usize,
        memory: &mut SharedMemory,
    ) -> Result<(), ShareError> {
        let read = copy::pixels_of_file(&self.file, memory, offset, length);
        read.map_err(|source| ShareError::System {
            what: "read shared pages",
            source,
        })
    }

    /// Reads within bounds the caller checked.
    pub fn read(&self, offset: usize, buffer: &mut [u8]) -> Result<(), ShareError> {
        let failed = |source| ShareError::System {
            what: "read shared pages",
            source,
        };
        self.file
            .read_exact_at(buffer, offset as u64)
            .map_err(failed)
    }
}

/// Reserves numbers for `pages` pages, never 0.
fn next_reference(pages: usize) -> u32 {
    // Processes of one domain start apart, so that they seldom meet.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let seed = std::process::id().wrapping_mul(0x9e37_79b1) | 1;
    let _ = NEXT.compare_exchange(0, seed, Ordering::Relaxed, Ordering::Relaxed);
    match NEXT.fetch_add(pages as u32, Ordering::Relaxed) {
        0 => 1,
        first => first,
    }
}

/// Removes what a dead local domain left in the folder: announcements, shared pages and bells,
/// and the bells of those who waited for it and were killed.
///
/// Nothing else of other domains is touched, and a folder that is gone counts as clean.
pub fn remove_leftovers(folder: &Path, dead: DomId) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let prefixes =
        ["ring", ".ring", "pages", "vchan", ".vchan", "bell"].map(|kind| format!("{kind}.{dead}."));
    let dead = dead.to_string();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let rings_for_it =
            |name: &str| name.starts_with("bell.") && name.split('.').nth(2) == Some(&dead);
        let own = prefixes
            .iter()
            .any(|prefix| name.starts_with(prefix.as_str()));
        if own || rings_for_it(&name) {
            match fs::remove_file(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
