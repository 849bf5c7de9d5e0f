// SPDX-License-Identifier: GPL-3.0-or-later
//! The console log: what the guest writes, and never more of it than the host can bear.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A full log becomes the old one, and the old one is dropped.
const LOG_MAX: u64 = 256 << 10;

/// Copies the guest's console to its log until the last writer is gone.
pub fn copy(mut console: impl Read, log: &Path) -> io::Result<()> {
    let mut log = Log::open(log)?;
    let mut block = [0; 4096];
    loop {
        match console.read(&mut block) {
            Ok(0) => return Ok(()),
            // A full disk must not block the guest: the rest is lost, and the next is tried.
            Ok(length) => drop(log.write(&block[..length])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

struct Log {
    path: PathBuf,
    file: File,
    length: u64,
}

impl Log {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self {
            path: path.to_owned(),
            length: file.metadata()?.len(),
            file,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.length > LOG_MAX {
            let mut old = self.path.clone().into_os_string();
            old.push(".old");
            fs::rename(&self.path, old)?;
            *self = Self::open(&self.path)?;
        }
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_never_stops_writing_fills_two_logs_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("console.log");
        let flood = io::repeat(b'x').take(4 << 20);
        copy(flood, &log).unwrap();
        let names = fs::read_dir(folder.path()).unwrap();
        let sizes: Vec<_> = names
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(sizes.len(), 2);
        assert!(
            sizes.iter().all(|size| *size <= LOG_MAX + 4096),
            "{sizes:?}"
        );
    }
}
