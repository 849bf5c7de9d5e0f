// SPDX-License-Identifier: GPL-3.0-or-later
//! Who may sign for which files.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use thiserror::Error;

use crate::manifest::{Signature, bytes_of, hex};

/// What is signed begins with this, so that no signature of something else is one of these.
const DOMAIN: &[u8] = b"bulkhead policy generation 1\0";

/// A configured public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name of its file, without `.pub`.
    pub name: String,
    public: [u8; 32],
    owns: Vec<String>,
}

/// All configured public keys. None means that nothing has to be signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<Key>);

/// Why a key cannot be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// Its file cannot be read or made.
    #[error("cannot read or make the key `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("`{0}` holds no Ed25519 key")]
    NoKey(PathBuf),
    /// Others than its owner can read a private key.
    #[error("`{0}` can be read by others than its owner: `chmod 600` it")]
    Open(PathBuf),
    /// The system has no randomness.
    #[error("a key cannot be made: the system gives no random bytes")]
    Random,
}

impl Keys {
    /// Reads a directory of `NAME.pub`; one that is missing holds none.
    ///
    /// # Errors
    ///
    /// A key cannot be read: with it, its owner's say would be missing.
    pub fn read(directory: &Path) -> Result<Self, KeyError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| KeyError::Io { path, source }
        };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(failed(directory)(error)),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed(directory))?.path();
            if path.extension().is_none_or(|ending| ending != "pub") {
                continue;
            }
            let text = fs::read_to_string(&path).map_err(failed(&path))?;
            let mut lines = text.lines().map(str::trim);
            let mut lines = lines
                .by_ref()
                .filter(|l| !l.is_empty() && !l.starts_with('#'));
            let public = lines.next().and_then(bytes_of::<32>);
            keys.push(Key {
                name: path
                    .file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                public: public.ok_or_else(|| KeyError::NoKey(path.clone()))?,
                owns: lines.map(str::to_owned).collect(),
            });
        }
        keys.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self(keys))
    }

    /// Whether nothing has to be signed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All keys, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter()
    }

    /// The keys that signed these bytes.
    pub fn signers(&self, manifest: &[u8], signatures: &[Signature]) -> Vec<&Key> {
        let signed = |key: &&Key| signatures.iter().any(|s| key.signed(manifest, s));
        self.0.iter().filter(signed).collect()
    }
}

impl Key {
    /// Whether it may sign for a file.
    pub fn owns(&self, path: &str) -> bool {
        self.owns.is_empty() || self.owns.iter().any(|pattern| matches(pattern, path))
    }

    fn signed(&self, manifest: &[u8], signature: &Signature) -> bool {
        let own = bytes_of::<32>(&signature.key) == Some(self.public);
        let Some(bytes) = bytes_of::<64>(&signature.signature).filter(|_| own) else {
            return false;
        };
        let key = UnparsedPublicKey::new(&ED25519, &self.public);
        key.verify(&[DOMAIN, manifest].concat(), &bytes).is_ok()
    }
}

/// Whether a text is a pattern's, in which `*` is anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| matches(tail, &rest[at..]))
        }),
    }
}

/// A private key.
#[derive(Debug)]
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Reads a key.
    ///
    /// # Errors
    ///
    /// It cannot be read, is none, or is open to others.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io {
            path: path.to_owned(),
            source,
        };
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(KeyError::Open(path.to_owned()));
        }
        let bytes = fs::read(path).map_err(failed)?;
        let key = Ed25519KeyPair::from_pkcs8(&bytes);
        key.map(Self).map_err(|_| KeyError::NoKey(path.to_owned()))
    }

    /// Makes a key in a new file, for its owner alone.
    ///
    /// # Errors
    ///
    /// The file is there already, or cannot be written.
    pub fn make(path: &Path) -> Result<Self, KeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
        let document = document.map_err(|_| KeyError::Random)?;
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        let written = file.and_then(|mut file| {
            file.write_all(document.as_ref())?;
            file.sync_all()
        });
        written.map_err(|source| KeyError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::load(path)
    }

    /// The public key as hexadecimal digits.
    pub fn public_hex(&self) -> String {
        hex(self.0.public_key().as_ref())
    }

    /// Signs a manifest's bytes.
    pub fn sign(&self, manifest: &[u8]) -> Signature {
        Signature {
            key: self.public_hex(),
            signature: hex(self.0.sign(&[DOMAIN, manifest].concat()).as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_may_leave_out_any_part() {
        for (pattern, text, is) in [
            ("30-user.policy", "30-user.policy", true),
            ("30-*.policy", "30-user.policy", true),
            ("30-*.policy", "30-user.test", false),
            ("*", "include/x", true),
            ("include/*", "include/x", true),
            ("include/*", "30-include/x", false),
            ("*-*.p*", "a-b-c.policy", true),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
    }
}
