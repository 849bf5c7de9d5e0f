// SPDX-License-Identifier: GPL-3.0-or-later
//! The folder a copy lands in, and the only ways to put something there.
//!
//! The user's own programs may move folders about or plant links while a copy runs. So
//! each path is opened from the folder downwards without following links or leaving the
//! file system (`openat2`), and a file has no name until it is complete.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use bulkhead_types::DomainName;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{linkat, symlinkat, syncfs};
use thiserror::Error;

use crate::wire::{Entry, Stamp};

/// The folder in a user's home under which copies arrive, one folder per source.
const INCOMING: &str = "QubesIncoming";
const PRIVATE: Mode = Mode::S_IRWXU;

/// The folder could not be made or opened.
#[derive(Debug, Error)]
#[error("cannot use {path}")]
pub struct BadHome {
    /// What could not be used.
    pub path: PathBuf,
    /// Why.
    pub source: Errno,
}

/// `~/QubesIncoming/SOURCE`, opened.
#[derive(Debug)]
pub struct Incoming {
    top: OwnedFd,
}

/// A file without a name. It disappears unless [`Unnamed::publish`] gives it one.
#[derive(Debug)]
pub(super) struct Unnamed {
    file: File,
    parent: OwnedFd,
    entry: Entry,
}

impl Incoming {
    /// Makes and opens the folder for copies from `source` in `home`.
    pub fn open(home: &Path, source: &DomainName) -> Result<Self, BadHome> {
        let trouble = |path: PathBuf| move |source: Errno| BadHome { path, source };
        let mut path = home.to_owned();
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut folder = open(home, flags, Mode::empty()).map_err(trouble(path.clone()))?;
        for part in [INCOMING, source.as_str()] {
            path.push(part);
            match mkdirat(&folder, part, PRIVATE) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(trouble(path)(errno)),
            }
            folder = below(&folder, Path::new(part), OFlag::O_DIRECTORY)
                .map_err(trouble(path.clone()))?;
        }
        Ok(Self { top: folder })
    }

    /// The folder that an entry lies in, and the entry's own name there.
    fn parent<'e>(&self, entry: &'e Entry) -> Result<(OwnedFd, &'e Path), Errno> {
        let path = entry.name.as_path();
        let own = path.file_name().map(Path::new).ok_or(Errno::EINVAL)?;
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let flags = OFlag::O_DIRECTORY | OFlag::O_PATH;
        Ok((below(&self.top, parent, flags)?, own))
    }

    /// Makes a folder that only its owner can use, until [`Self::finish_folder`].
    pub(super) fn make_folder(&self, entry: &Entry) -> Result<(), Errno> {
        let (parent, own) = self.parent(entry)?;
        mkdirat(&parent, own, PRIVATE)
    }

    /// Gives a folder its permissions and times.
    pub(super) fn finish_folder(&self, entry: &Entry) -> Result<(), Errno> {
        let (parent, own) = self.parent(entry)?;
        finish(below(&parent, own, OFlag::O_DIRECTORY)?, entry)
    }

    /// Begins a file. An existing name is refused now, before its content is sent.
    pub(super) fn begin_file(&self, entry: Entry) -> Result<Unnamed, Errno> {
        let (parent, own) = self.parent(&entry)?;
        match below(&parent, own, OFlag::O_PATH | OFlag::O_NOFOLLOW) {
            Err(Errno::ENOENT) => {}
            Ok(_) | Err(Errno::ELOOP) => return Err(Errno::EEXIST),
            Err(errno) => return Err(errno),
        }
        let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let file = openat(&parent, ".", flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        Ok(Unnamed {
            file: File::from(file),
            parent,
            entry,
        })
    }

    /// Makes a symbolic link with its time.
    pub(super) fn make_link(&self, entry: &Entry, target: &[u8]) -> Result<(), Errno> {
        let (parent, own) = self.parent(entry)?;
        symlinkat(target, &parent, own)?;
        let (accessed, modified) = (time(entry.accessed), time(entry.modified));
        let flag = UtimensatFlags::NoFollowSymlink;
        utimensat(&parent, own, &accessed, &modified, flag)
    }

    /// Brings everything to the disk, so that a sender may delete its own copy.
    pub(super) fn sync(&self) -> Result<(), Errno> {
        syncfs(below(&self.top, Path::new("."), OFlag::O_DIRECTORY)?)
    }
}

impl Unnamed {
    /// Appends to the file.
    pub(super) fn write(&mut self, piece: &[u8]) -> Result<(), Errno> {
        let errno =
            |error: std::io::Error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        self.file.write_all(piece).map_err(errno)
    }

    /// Gives the complete file its permissions, times and name.
    pub(super) fn publish(self) -> Result<(), Errno> {
        let path = self.entry.name.as_path();
        let own = path.file_name().ok_or(Errno::EINVAL)?;
        let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        finish(self.file.as_fd(), &self.entry)?;
        // Fails with EEXIST when somebody took the name meanwhile.
        let flag = AtFlags::AT_SYMLINK_FOLLOW;
        linkat(AT_FDCWD, unnamed.as_str(), &self.parent, own, flag)
    }
}

/// Opens what lies at `path` below `folder`, and nothing else.
fn below(folder: &OwnedFd, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let stay = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(stay);
    openat2(folder, path, how)
}

fn finish(fd: impl AsFd, entry: &Entry) -> Result<(), Errno> {
    fchmod(fd.as_fd(), Mode::from_bits_truncate(entry.permissions))?;
    futimens(fd.as_fd(), &time(entry.accessed), &time(entry.modified))
}

fn time(stamp: Stamp) -> TimeSpec {
    TimeSpec::new(i64::from(stamp.seconds), i64::from(stamp.nanoseconds))
}
