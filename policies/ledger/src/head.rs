// SPDX-License-Identifier: GPL-3.0-or-later
//! The head: the number and chain value of the last record, so that an end that was cut off
//! is missed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::chain::Hash;

/// Its file's name.
pub(crate) const NAME: &str = "head";
/// 20 digits, a blank, 64 digits, a line feed.
const LENGTH: usize = 86;

/// The last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 before the first.
    pub sequence: u64,
    /// The chain value after it.
    pub chain: Hash,
}

impl Head {
    /// Before the first record.
    pub fn genesis() -> Self {
        Self {
            sequence: 0,
            chain: Hash::genesis(),
        }
    }

    /// Reads the file's content.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let line = bytes.strip_suffix(b"\n")?;
        let (number, chain) = (line.get(..20)?, line.get(20..)?);
        if !number.iter().all(u8::is_ascii_digit) {
            return None;
        }
        Some(Self {
            sequence: std::str::from_utf8(number).ok()?.parse().ok()?,
            chain: Hash::from_hex(chain.strip_prefix(b" ")?)?,
        })
    }

    /// The file's content. It has one length, so that it is written over in one piece.
    pub fn encode(&self) -> [u8; LENGTH] {
        let text = format!("{:020} {}\n", self.sequence, self.chain);
        let mut bytes = [b'\n'; LENGTH];
        bytes.copy_from_slice(text.as_bytes());
        bytes
    }
}

/// The file, open for the writer.
#[derive(Debug)]
pub(crate) struct HeadFile(File);

impl HeadFile {
    /// Opens it; what it says is `None` when there was none, or nothing that makes sense.
    pub fn open(directory: &Path) -> io::Result<(Self, Option<Head>)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o640).open(directory.join(NAME))?;
        let mut bytes = [0; LENGTH];
        let said = file.read_exact_at(&mut bytes, 0).ok();
        Ok((Self(file), said.and_then(|()| Head::decode(&bytes))))
    }

    pub fn write(&self, head: &Head) -> io::Result<()> {
        self.0.write_all_at(&head.encode(), 0)
    }

    pub fn try_clone(&self) -> io::Result<File> {
        self.0.try_clone()
    }
}
