// SPDX-License-Identifier: GPL-3.0-or-later
//! A pool: opening it, making a domain's volumes, removing them.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use bulkhead_types::{DomainName, VolumeName};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::driver::{Driver, MakeError};
use crate::error::{OpenError, VolumeError};
use crate::names;
use crate::spec::{Life, VolumeSpec};

/// An instant at which an operation has just changed what is on the disk, by name.
pub type Step = &'static str;

/// What may be chosen about a pool.
#[derive(Clone)]
pub struct PoolOptions {
    /// Whom the pool belongs to, one line of text: the identity of the manager's database.
    pub owner: String,
    /// How many former contents of each kept volume stay.
    pub revisions_to_keep: usize,
    /// The program that makes an ext4 file system in an image.
    pub mkfs: PathBuf,
    /// Called after each durable step; it lets a test stop the world there.
    pub after_step: Option<Arc<dyn Fn(Step) + Send + Sync>>,
}

impl PoolOptions {
    /// The usual choices: one revision, `mkfs.ext4`.
    pub fn new(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            revisions_to_keep: 1,
            mkfs: "mkfs.ext4".into(),
            after_step: None,
        }
    }
}

impl fmt::Debug for PoolOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolOptions")
            .field("owner", &self.owner)
            .field("revisions_to_keep", &self.revisions_to_keep)
            .field("mkfs", &self.mkfs)
            .finish_non_exhaustive()
    }
}

/// The volumes of all domains. Operations on different domains may run at the same time,
/// those on one domain one after the other.
#[derive(Debug)]
pub struct Pool {
    pub(crate) root: PathBuf,
    pub(crate) driver: Driver,
    pub(crate) options: PoolOptions,
    /// Held for writing during the instant of a commit in which a volume has no name, so
    /// that a domain which starts meanwhile finds its source.
    pub(crate) commit: RwLock<()>,
    _owned: Flock<File>,
}

impl Pool {
    /// Opens, or makes, a pool of image files that share blocks, on XFS or btrfs.
    pub fn reflink(root: &Path, options: PoolOptions) -> Result<Self, OpenError> {
        let mkfs = options.mkfs.clone();
        let pool = Self::open(root, Driver::Reflink { mkfs }, options)?;
        probe_reflink(root)?;
        Ok(pool)
    }

    /// Opens, or makes, a pool of plain folders, for guests of the local back end.
    pub fn directory(root: &Path, options: PoolOptions) -> Result<Self, OpenError> {
        Self::open(root, Driver::Directory, options)
    }

    fn open(root: &Path, driver: Driver, options: PoolOptions) -> Result<Self, OpenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Failed { path, source }
        };
        fs::create_dir_all(root).map_err(failed(root))?;
        let owned = take_ownership(root, &options.owner)?;
        Ok(Self {
            root: root.to_owned(),
            driver,
            options,
            commit: RwLock::default(),
            _owned: owned,
        })
    }

    /// The folder that holds the pool.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Makes the volumes that a new domain owns, all or none.
    ///
    /// `images` says what some of them start with; a private volume without an image gets an
    /// empty file system, any other starts empty.
    pub fn create(
        &self,
        domain: &DomainName,
        volumes: &[VolumeSpec],
        images: &[(VolumeName, &Path)],
    ) -> Result<(), VolumeError> {
        let folder = self.folder(domain);
        if folder.symlink_metadata().is_ok() {
            return Err(VolumeError::Exists(domain.clone()));
        }
        let making = self.root.join(names::new_domain(domain));
        self.fill(domain, volumes, images, &making)
            .and_then(|()| self.rename(&making, &folder))
            .and_then(|()| self.settle_names(&self.root))
            .inspect_err(|_| {
                // The first error is the one to tell; a leftover goes at the next repair.
                let _ = self.driver.delete(&making);
            })?;
        self.step("volumes created");
        Ok(())
    }

    fn fill(
        &self,
        domain: &DomainName,
        volumes: &[VolumeSpec],
        images: &[(VolumeName, &Path)],
        making: &Path,
    ) -> Result<(), VolumeError> {
        self.delete(making)?;
        fs::create_dir(making).map_err(failed(making))?;
        self.step("folder for new volumes made");
        for volume in volumes.iter().filter(|volume| volume.life == Life::Kept) {
            let path = making.join(self.driver.file_name(volume.name));
            let image = images.iter().find(|(name, _)| *name == volume.name);
            let made = match image {
                Some((_, image)) => self.driver.import(image, &path).map_err(MakeError::Io),
                None => self.driver.make_empty(volume.name, volume.size, &path),
            };
            made.and_then(|()| Ok(self.driver.settle(&path)?))
                .map_err(|error| not_made(error, domain, volume.name, &path))?;
            self.step("new volume made");
        }
        self.settle_names(making)
    }

    /// Removes all volumes of a domain with their revisions. A domain that has none is fine.
    pub fn remove(&self, domain: &DomainName) -> Result<(), VolumeError> {
        let folder = self.folder(domain);
        let gone = self.root.join(names::gone_domain(domain));
        self.delete(&gone)?;
        self.delete(&self.root.join(names::new_domain(domain)))?;
        if folder.symlink_metadata().is_ok() {
            // From here on the domain has no volumes; what follows only frees the space.
            self.rename(&folder, &gone)?;
            self.settle_names(&self.root)?;
            self.step("volumes named gone");
            self.delete(&gone)?;
            self.step("volumes removed");
        }
        Ok(())
    }

    /// The domains that have volumes, in the order of their names.
    pub fn domains(&self) -> Result<Vec<DomainName>, VolumeError> {
        let mut domains: Vec<_> = self
            .entries(&self.root)?
            .iter()
            .filter_map(|name| DomainName::parse(name).ok())
            // The one file among the folders, whose name a domain may bear too.
            .filter(|name| self.folder(name).is_dir())
            .collect();
        domains.sort();
        Ok(domains)
    }

    pub(crate) fn folder(&self, domain: &DomainName) -> PathBuf {
        self.root.join(domain.as_str())
    }

    /// The names in a folder; those that are not text are none of ours.
    pub(crate) fn entries(&self, folder: &Path) -> Result<Vec<String>, VolumeError> {
        let read = || -> io::Result<Vec<String>> {
            let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().into_string()));
            let names: io::Result<Vec<_>> = names.collect();
            Ok(names?.into_iter().flatten().collect())
        };
        read().map_err(failed(folder))
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), VolumeError> {
        fs::rename(from, to).map_err(failed(from))
    }

    pub(crate) fn delete(&self, path: &Path) -> Result<(), VolumeError> {
        self.driver.delete(path).map_err(failed(path))
    }

    pub(crate) fn settle_names(&self, folder: &Path) -> Result<(), VolumeError> {
        self.driver.settle_names(folder).map_err(failed(folder))
    }

    pub(crate) fn step(&self, step: Step) {
        if let Some(after_step) = &self.options.after_step {
            after_step(step);
        }
    }
}

pub(crate) fn failed(path: &Path) -> impl FnOnce(io::Error) -> VolumeError {
    let path = path.to_owned();
    move |source| VolumeError::Failed { path, source }
}

pub(crate) fn not_made(
    error: MakeError,
    domain: &DomainName,
    volume: VolumeName,
    path: &Path,
) -> VolumeError {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    match error {
        MakeError::Io(source) if matches!(source.kind(), StorageFull | QuotaExceeded) => {
            VolumeError::Full {
                domain: domain.clone(),
                volume,
                source,
            }
        }
        MakeError::Io(source) => failed(path)(source),
        MakeError::Format { program, said } => VolumeError::Format {
            program,
            path: path.to_owned(),
            said,
        },
    }
}

/// Checks, or writes, whose pool it is, and keeps a second manager out of it.
fn take_ownership(root: &Path, owner: &str) -> Result<Flock<File>, OpenError> {
    let path = root.join(names::OWNER_FILE);
    let failed = |source| OpenError::Failed {
        path: path.clone(),
        source,
    };
    if !path.exists() && holds_something(root).map_err(failed)? {
        return Err(OpenError::NotAPool(root.to_owned()));
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    let mut file =
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
            Errno::EWOULDBLOCK => OpenError::InUse(root.to_owned()),
            errno => failed(errno.into()),
        })?;
    let mut written = String::new();
    file.read_to_string(&mut written).map_err(failed)?;
    match written.trim_end() {
        found if found == owner => {}
        // New, or its maker was killed before it could write.
        "" => {
            writeln!(file, "{owner}").map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        _ => return Err(OpenError::OfAnother(root.to_owned())),
    }
    Ok(file)
}

fn holds_something(root: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(root)? {
        // A fresh file system has this one.
        if entry?.file_name() != "lost+found" {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finds out whether files of the pool can share blocks, by sharing some.
fn probe_reflink(root: &Path) -> Result<(), OpenError> {
    let [from, to] = names::PROBES.map(|name| root.join(name));
    let failed = |source| OpenError::Failed {
        path: from.clone(),
        source,
    };
    for probe in [&from, &to] {
        crate::folder::delete(probe).map_err(failed)?;
    }
    let shared = fs::write(&from, [1; 4096]).map_err(failed).and_then(|()| {
        reflink_copy::reflink(&from, &to).map_err(|source| OpenError::NoReflink {
            path: root.to_owned(),
            file_system: file_system(root),
            source,
        })
    });
    for probe in [&from, &to] {
        crate::folder::delete(probe).map_err(failed)?;
    }
    shared
}

/// The kind of file system a folder is on, in the words of `/proc/self/mountinfo`.
fn file_system(folder: &Path) -> String {
    let look = || {
        let folder = folder.canonicalize().ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        // Field 5 is the mount point; the kind follows the lone dash (proc(5)).
        let of = |line: &str| {
            let (mount, rest) = line.split_once(" - ")?;
            let point = mount.split(' ').nth(4)?;
            let kind = rest.split(' ').next()?;
            Some((PathBuf::from(point), kind.to_owned()))
        };
        let mounts = mounts.lines().filter_map(of);
        let (_, kind) = mounts
            .filter(|(point, _)| folder.starts_with(point))
            .max_by_key(|(point, _)| point.as_os_str().len())?;
        Some(kind)
    };
    look().unwrap_or_else(|| "a file system".to_owned())
}
