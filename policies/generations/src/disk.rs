// SPDX-License-Identifier: GPL-3.0-or-later
//! The durable steps of a change. Each can be the last one before the power goes; the tests
//! stop at every one.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Does durable steps, or stops at one.
pub(crate) struct Disk<'a> {
    /// Told before each step; an error there is the machine's end.
    pub step: &'a mut dyn FnMut() -> io::Result<()>,
}

impl Disk<'_> {
    pub fn make_directory(&mut self, path: &Path) -> io::Result<()> {
        (self.step)()?;
        fs::create_dir_all(path)
    }

    /// Writes a new file and brings it to the disk.
    pub fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        (self.step)()?;
        let mut file = File::create_new(path)?;
        // A machine that stops in the middle leaves half of it.
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        file.write_all(first)?;
        (self.step)()?;
        file.write_all(rest)?;
        file.sync_all()
    }

    /// Brings a directory's names to the disk.
    pub fn sync(&mut self, directory: &Path) -> io::Result<()> {
        (self.step)()?;
        File::open(directory)?.sync_all()
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        (self.step)()?;
        fs::rename(from, to)
    }

    pub fn link(&mut self, target: &Path, path: &Path) -> io::Result<()> {
        (self.step)()?;
        std::os::unix::fs::symlink(target, path)
    }

    pub fn remove_all(&mut self, path: &Path) -> io::Result<()> {
        (self.step)()?;
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}
