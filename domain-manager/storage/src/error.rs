// SPDX-License-Identifier: GPL-3.0-or-later
//! What can go wrong with a pool, one type per operation.

use std::io;
use std::path::PathBuf;

use bulkhead_types::{DomainName, VolumeName};
use thiserror::Error;

/// A pool cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file system cannot share blocks between files.
    #[error("the pool `{path}` is on {file_system}, which cannot share blocks between files")]
    NoReflink {
        /// The pool.
        path: PathBuf,
        /// The kind of file system it is on.
        file_system: String,
        /// What the system said.
        source: io::Error,
    },
    /// The folder holds other things and was never a pool.
    #[error("`{0}` holds other files and is not a pool")]
    NotAPool(PathBuf),
    /// The pool belongs to another manager's database.
    #[error("the pool `{0}` belongs to another installation")]
    OfAnother(PathBuf),
    /// Another manager has it open.
    #[error("the pool `{0}` is in use by another manager")]
    InUse(PathBuf),
    /// Anything else.
    #[error("`{path}`, needed to open the pool, cannot be used")]
    Failed {
        /// The file or folder that failed.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// What to do about it, if there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoReflink { path, .. } => {
                let pool = path.display();
                Some(format!(
                    "mount an XFS there (`truncate -s 40G {pool}.xfs && mkfs.xfs {pool}.xfs && \
                     mount -o loop {pool}.xfs {pool}`), or set `path` under `[pool]` in \
                     bulkhead.toml to a folder on XFS or btrfs"
                ))
            }
            Self::NotAPool(_) => Some(
                "give it an empty folder: set `path` under `[pool]` in bulkhead.toml".to_owned(),
            ),
            Self::OfAnother(pool) => Some(format!(
                "its volumes are not touched; bring back the database they belong to, or move \
                 `{}` away to start afresh",
                pool.display()
            )),
            Self::InUse(_) | Self::Failed { .. } => None,
        }
    }
}

/// An operation on volumes failed and left things as they were before it.
#[derive(Debug, Error)]
pub enum VolumeError {
    /// The domain has volumes already.
    #[error("`{0}` has volumes already")]
    Exists(DomainName),
    /// The volume that a copy is made of is not there.
    #[error("the {volume} volume of `{source_domain}`, which `{domain}` starts from, is not there")]
    NoSource {
        /// The domain that starts.
        domain: DomainName,
        /// The domain whose volume is copied.
        source_domain: DomainName,
        /// Which volume.
        volume: VolumeName,
    },
    /// A volume that the domain owns is not there.
    #[error("the {volume} volume of `{domain}` is not there")]
    Missing {
        /// The domain.
        domain: DomainName,
        /// Which volume.
        volume: VolumeName,
    },
    /// The pool is full.
    #[error("the pool is full: there is no space for the {volume} volume of `{domain}`")]
    Full {
        /// The domain.
        domain: DomainName,
        /// Which volume.
        volume: VolumeName,
        /// What the system said.
        source: io::Error,
    },
    /// The program that makes the file system of an empty private volume failed.
    #[error("`{program}` could not format `{path}`: {said}")]
    Format {
        /// The program.
        program: PathBuf,
        /// The image.
        path: PathBuf,
        /// Its last words.
        said: String,
    },
    /// Anything else.
    #[error("`{path}` failed")]
    Failed {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}
