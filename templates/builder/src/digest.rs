// SPDX-License-Identifier: GPL-3.0-or-later
//! SHA-256 of files and of lists of things.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use ring::digest::{Context, SHA256};

use crate::BuildError;

/// A SHA-256 in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(String);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Hasher::new().add("", bytes).finish()
    }

    /// The digest of what `path` contains.
    pub fn of_file(path: &Path) -> Result<Self, BuildError> {
        let mut file = File::open(path).map_err(BuildError::io("read", path))?;
        let mut context = Context::new(&SHA256);
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file
                .read(&mut buffer)
                .map_err(BuildError::io("read", path))?
            {
                0 => return Ok(Self::from_context(context)),
                n => context.update(&buffer[..n]),
            }
        }
    }

    /// The first 16 digits: enough to tell cache entries apart.
    pub fn short(&self) -> &str {
        &self.0[..16]
    }

    fn from_context(context: Context) -> Self {
        let digest = context.finish();
        Self(
            digest
                .as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        )
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Digests a list of named parts, so that no two different lists look alike.
pub struct Hasher {
    context: Context,
    bare: bool,
}

impl Hasher {
    /// A list without parts.
    pub fn new() -> Self {
        Self {
            context: Context::new(&SHA256),
            bare: true,
        }
    }

    /// The list with one more part. A single part without a name is digested as it is.
    #[must_use]
    pub fn add(mut self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        if !(name.is_empty() && self.bare) {
            let head = format!("{name}\0{}\0", bytes.len());
            self.context.update(head.as_bytes());
        }
        self.bare = false;
        self.context.update(bytes);
        self
    }

    /// The digest of all parts.
    pub fn finish(self) -> Digest {
        Digest::from_context(self.context)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_bytes_is_plain_sha_256() {
        assert_eq!(
            Digest::of(b"abc").to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn moving_a_byte_between_parts_changes_the_digest() {
        let one = Hasher::new().add("a", "xy").add("b", "z").finish();
        let other = Hasher::new().add("a", "x").add("b", "yz").finish();
        assert_ne!(one, other);
    }
}
