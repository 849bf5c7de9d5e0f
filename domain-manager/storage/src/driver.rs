// SPDX-License-Identifier: GPL-3.0-or-later
//! What differs between a pool of images and a pool of folders.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bulkhead_types::VolumeName;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use crate::folder;

/// How volumes are held.
#[derive(Clone, Debug)]
pub(crate) enum Driver {
    /// Image files that share blocks; `mkfs` makes an ext4 in an empty one.
    Reflink { mkfs: PathBuf },
    /// Folders, copied file by file: for the local back end, whose volumes are small.
    Directory,
}

/// Why a volume could not be made.
#[derive(Debug)]
pub(crate) enum MakeError {
    Io(io::Error),
    Format { program: PathBuf, said: String },
}

impl From<io::Error> for MakeError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Driver {
    /// The name under which a volume lies in its domain's folder.
    pub(crate) fn file_name(&self, volume: VolumeName) -> String {
        match self {
            Self::Reflink { .. } => format!("{volume}.img"),
            Self::Directory => volume.to_string(),
        }
    }

    /// Makes a volume with nothing in it. A private one gets an empty file system, since a
    /// guest should find its home without having to decide whether to format a disk.
    pub(crate) fn make_empty(
        &self,
        volume: VolumeName,
        size: u64,
        to: &Path,
    ) -> Result<(), MakeError> {
        match self {
            Self::Directory => Ok(fs::create_dir(to)?),
            Self::Reflink { mkfs } => {
                File::create_new(to)?.set_len(size)?;
                match volume {
                    VolumeName::Private => format_ext4(mkfs, to),
                    VolumeName::Root | VolumeName::Volatile => Ok(()),
                }
            }
        }
    }

    /// Makes a volume from an image that comes from outside the pool.
    ///
    /// In a pool of folders the volume stays empty: local guests run on the host's system.
    pub(crate) fn import(&self, image: &Path, to: &Path) -> io::Result<()> {
        match self {
            Self::Directory => fs::create_dir(to),
            Self::Reflink { .. } => match reflink_copy::reflink(image, to) {
                Ok(()) => make_writable(to),
                // On another file system, or one that shares no blocks.
                Err(_) => copy_sparse(image, to),
            },
        }
    }

    /// Copies a volume of the pool.
    pub(crate) fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self {
            Self::Directory => folder::copy(from, to),
            Self::Reflink { .. } => reflink_copy::reflink(from, to),
        }
    }

    /// Makes sure that a volume's content is on the disk.
    ///
    /// The local back end promises no more than that a killed manager loses nothing.
    pub(crate) fn settle(&self, volume: &Path) -> io::Result<()> {
        match self {
            Self::Directory => Ok(()),
            Self::Reflink { .. } => File::open(volume)?.sync_all(),
        }
    }

    /// Makes sure that the names in a folder are on the disk.
    pub(crate) fn settle_names(&self, folder: &Path) -> io::Result<()> {
        self.settle(folder)
    }

    /// Removes a volume, or a folder of volumes, if it is there.
    pub(crate) fn delete(&self, path: &Path) -> io::Result<()> {
        folder::delete(path)
    }
}

fn format_ext4(mkfs: &Path, image: &Path) -> Result<(), MakeError> {
    let failed = |said: String| MakeError::Format {
        program: mkfs.to_owned(),
        said,
    };
    let output = Command::new(mkfs)
        .args(["-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1"])
        .arg(image)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rfind(|line| !line.trim().is_empty());
    Err(failed(
        last.map_or(output.status.to_string(), str::to_owned),
    ))
}

/// A reflink copy has its source's permissions, and an image may be read-only.
fn make_writable(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}

/// Copies an image without writing its holes.
fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    let source = File::open(from)?;
    let length = source.metadata()?.len();
    let copy = OpenOptions::new().write(true).create_new(true).open(to)?;
    make_writable(to)?;
    copy.set_len(length)?;
    let mut block = vec![0; 1 << 20];
    let mut at = 0;
    while let Some((start, end)) = next_data(&source, at, length)? {
        at = start;
        while at < end {
            let wanted = usize::try_from(end - at).map_or(block.len(), |n| n.min(block.len()));
            let got = source.read_at(&mut block[..wanted], at)?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            copy.write_all_at(&block[..got], at)?;
            at += got as u64;
        }
    }
    Ok(())
}

/// The next stretch of a file, from `at` on, that is not a hole.
fn next_data(file: &File, at: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    let offset =
        |at: u64| i64::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge));
    let seek = |at: u64, whence| -> io::Result<Option<u64>> {
        match lseek(file.as_fd(), offset(at)?, whence) {
            Ok(found) => Ok(u64::try_from(found).ok()),
            Err(Errno::ENXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    let Some(start) = seek(at, Whence::SeekData)? else {
        return Ok(None);
    };
    let end = seek(start, Whence::SeekHole)?.unwrap_or(length);
    Ok(Some((start, end)))
}
