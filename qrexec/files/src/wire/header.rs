// SPDX-License-Identifier: GPL-3.0-or-later
//! The 32 bytes in front of each entry, and what they say once they are checked.

/// Bytes of a header: name length (u32, with its NUL), mode (u32), content length (u64),
/// then access and modification time, each as seconds and nanoseconds (u32). Little endian.
pub const HEADER_LENGTH: usize = 32;

const TYPE_MASK: u32 = 0o170_000;
const TYPE_FOLDER: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_LINK: u32 = 0o120_000;

/// What an entry is; nothing else can be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder; it has no content and comes twice.
    Folder,
    /// A symbolic link; its content is its target.
    Link,
}

/// A time: seconds since 1970 and nanoseconds, at most 999 999 999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Whole seconds.
    pub seconds: u32,
    /// The rest.
    pub nanoseconds: u32,
}

/// A header as it stands on the wire. Nothing in it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Header {
    /// Bytes of the name with its closing NUL; 0 ends the copy.
    pub name_length: u32,
    /// Type and permissions as in `st_mode`.
    pub mode: u32,
    /// Bytes of content.
    pub content_length: u64,
    /// When the file was read last.
    pub accessed: Stamp,
    /// When the file was changed last.
    pub modified: Stamp,
}

impl Kind {
    /// The kind that a mode stands for, if it is one that can be copied.
    pub fn of_mode(mode: u32) -> Option<Self> {
        match mode & TYPE_MASK {
            TYPE_FILE => Some(Self::File),
            TYPE_FOLDER => Some(Self::Folder),
            TYPE_LINK => Some(Self::Link),
            _ => None,
        }
    }

    /// The type bits of a mode for this kind.
    pub fn type_bits(self) -> u32 {
        match self {
            Self::File => TYPE_FILE,
            Self::Folder => TYPE_FOLDER,
            Self::Link => TYPE_LINK,
        }
    }
}

impl Header {
    /// Reads a header.
    pub fn decode(bytes: &[u8; HEADER_LENGTH]) -> Self {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Self {
            name_length: word(0),
            mode: word(4),
            content_length: u64::from(word(8)) | u64::from(word(12)) << 32,
            accessed: Stamp {
                seconds: word(16),
                nanoseconds: word(20),
            },
            modified: Stamp {
                seconds: word(24),
                nanoseconds: word(28),
            },
        }
    }

    /// Writes a header.
    pub fn encode(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        bytes[0..4].copy_from_slice(&self.name_length.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.mode.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.content_length.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.accessed.seconds.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.accessed.nanoseconds.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.modified.seconds.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.modified.nanoseconds.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_lies_on_the_wire_as_the_specification_says() {
        let header = Header {
            name_length: 6,
            mode: 0o100_644,
            content_length: 0x1_0000_0002,
            accessed: Stamp {
                seconds: 3,
                nanoseconds: 4,
            },
            modified: Stamp {
                seconds: 5,
                nanoseconds: 999_999_999,
            },
        };
        let bytes = header.encode();
        assert_eq!(bytes[..8], [6, 0, 0, 0, 0xa4, 0x81, 0, 0]);
        assert_eq!(bytes[8..16], [2, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(Header::decode(&bytes), header);
    }

    #[test]
    fn only_files_folders_and_links_have_a_kind() {
        for kind in [Kind::File, Kind::Folder, Kind::Link] {
            assert_eq!(Kind::of_mode(kind.type_bits() | 0o777), Some(kind));
        }
        for other in [0o010_000, 0o020_000, 0o060_000, 0o140_000, 0] {
            assert_eq!(Kind::of_mode(other | 0o644), None);
        }
    }
}
