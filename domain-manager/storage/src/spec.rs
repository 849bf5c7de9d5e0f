// SPDX-License-Identifier: GPL-3.0-or-later
//! What a volume is: whose data it starts with, and what becomes of what is written to it.

use std::path::PathBuf;

use bulkhead_types::{DomainName, VolumeName};

/// How a volume lives from start to stop of its domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// Owns its data; what a run wrote is kept when it stops.
    Kept,
    /// A fresh copy of another domain's volume of the same name at each start, dropped at stop.
    CopyOf(DomainName),
    /// Empty at each start, dropped at stop.
    Scratch,
}

/// One volume of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Which volume.
    pub name: VolumeName,
    /// Size in bytes that an empty one gets; nothing is allocated before it is written.
    pub size: u64,
    /// How it lives.
    pub life: Life,
}

/// Sizes for the volumes of a new domain, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Of a template's root when no image is imported.
    pub root: u64,
    /// Of a private volume.
    pub private: u64,
    /// Of a volatile volume.
    pub volatile: u64,
}

impl Default for Sizes {
    /// What Qubes gives: 10, 2 and 10 GiB (specification of the manager, 2.1).
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        Self {
            root: 10 * GIB,
            private: 2 * GIB,
            volatile: 10 * GIB,
        }
    }
}

impl VolumeSpec {
    /// The volumes of a template: it keeps its root and its private data.
    pub fn of_template(sizes: Sizes) -> Vec<Self> {
        Self::three(sizes, Life::Kept, Life::Kept)
    }

    /// The volumes of a domain based on `template`: its root is the template's, its private
    /// data its own.
    pub fn of_app(template: &DomainName, sizes: Sizes) -> Vec<Self> {
        Self::three(sizes, Life::CopyOf(template.clone()), Life::Kept)
    }

    /// The volumes of a disposable started from `base`, which is based on `template`.
    pub fn of_disposable(template: &DomainName, base: &DomainName, sizes: Sizes) -> Vec<Self> {
        Self::three(
            sizes,
            Life::CopyOf(template.clone()),
            Life::CopyOf(base.clone()),
        )
    }

    fn three(sizes: Sizes, root: Life, private: Life) -> Vec<Self> {
        let volume = |name, size, life| Self { name, size, life };
        vec![
            volume(VolumeName::Root, sizes.root, root),
            volume(VolumeName::Private, sizes.private, private),
            volume(VolumeName::Volatile, sizes.volatile, Life::Scratch),
        ]
    }
}

/// A volume ready for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartedVolume {
    /// Which volume.
    pub name: VolumeName,
    /// The working copy: an image file, or a folder in a pool of folders.
    pub path: PathBuf,
}

/// What the manager knows of a domain when it asks for repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDomain {
    /// Its name.
    pub name: DomainName,
    /// Its volumes.
    pub volumes: Vec<VolumeSpec>,
    /// Whether it runs, so that its working copies are in use.
    pub running: bool,
}

/// What a repair found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// Folders of domains that nobody knows and half-made or half-removed ones; all removed.
    pub orphans: Vec<String>,
    /// Domains whose last run had not been put away; their kept volumes were committed.
    pub stopped: Vec<DomainName>,
    /// Known domains whose kept volumes are not there. Nothing was done about them.
    pub missing: Vec<DomainName>,
}
