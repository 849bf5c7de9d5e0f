// SPDX-License-Identifier: GPL-3.0-or-later
//! From entries to bytes.

use super::checksum::Checksum;
use super::header::{Header, Kind};
use super::name::{BadName, EntryName, NameRule};

/// Writes a copy piece by piece; each method gives the bytes that go out next.
///
/// The content of a file goes through [`Encoder::content`] unchanged; the caller sends
/// exactly as many bytes as the header promised.
#[derive(Debug, Default)]
pub struct Encoder {
    checksum: Checksum,
}

impl Encoder {
    /// An encoder at the start of a copy.
    pub fn new() -> Self {
        Self::default()
    }

    /// The header and the name of an entry. `header.name_length` is set here.
    ///
    /// Only the path is judged: what characters a name may hold, the receiver decides.
    pub fn entry(&mut self, mut header: Header, name: &[u8]) -> Result<Vec<u8>, BadName> {
        EntryName::parse(name, NameRule::All)?;
        header.name_length =
            u32::try_from(name.len() + 1).map_err(|_| BadName::TooLong(name.len()))?;
        if Kind::of_mode(header.mode) == Some(Kind::Folder) {
            header.content_length = 0;
        }
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(name);
        bytes.push(0);
        self.checksum.update(&bytes);
        Ok(bytes)
    }

    /// The next piece of the content of the last entry.
    pub fn content<'a>(&mut self, piece: &'a [u8]) -> &'a [u8] {
        self.checksum.update(piece);
        piece
    }

    /// The end of the copy.
    pub fn end(&mut self) -> Vec<u8> {
        let bytes = Header::default().encode().to_vec();
        self.checksum.update(&bytes);
        bytes
    }

    /// The checksum of all that was written so far; the receiver's must be the same.
    pub fn checksum(&self) -> u32 {
        self.checksum.value()
    }
}
