// SPDX-License-Identifier: GPL-3.0-or-later
//! The file of the key that seals the ledger.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;
use thiserror::Error;

use crate::chain::bytes_of;
use crate::seal::SealKey;

/// The most bytes of a key's file; a key of this kind has 83.
const FILE_MAX: u64 = 4096;
/// Why there is no key.
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
    /// Others than its owner can read it.
    #[error(
        "`{0}` can be read by others than its owner: `chmod 600` it, or remove it to have a new one made"
    )]
    Open(PathBuf),
    /// The system has no randomness.
    #[error("a key cannot be made: the system gives no random bytes")]
    Random,
}

impl SealKey {
    /// Reads the key, or makes one, for its owner alone.
    ///
    /// # Errors
    ///
    /// The file is there and is no key, is open to others, or cannot be made.
    pub fn load_or_make(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io {
            path: path.to_owned(),
            source,
        };
        match fs::metadata(path) {
            Ok(metadata) => {
                if metadata.permissions().mode() & 0o077 != 0 {
                    return Err(KeyError::Open(path.to_owned()));
                }
                if metadata.len() > FILE_MAX {
                    return Err(KeyError::NoKey(path.to_owned()));
                }
                let bytes = fs::read(path).map_err(failed)?;
                let key = Ed25519KeyPair::from_pkcs8(&bytes);
                key.map(Self).map_err(|_| KeyError::NoKey(path.to_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
                let document = document.map_err(|_| KeyError::Random)?;
                write_new(path, document.as_ref()).map_err(failed)?;
                let key = Ed25519KeyPair::from_pkcs8(document.as_ref());
                key.map(Self).map_err(|_| KeyError::Random)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// Written aside and moved, so that a half-written key is never found.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let aside = path.with_extension("new");
    let _ = fs::remove_file(&aside);
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(aside, path)
}

/// The public key that these 64 digits spell.
pub fn public_key_from_hex(text: &str) -> Option<[u8; 32]> {
    bytes_of(text.trim().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("keys/seal.key");
        let key = SealKey::load_or_make(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = SealKey::load_or_make(&path).unwrap();
        assert_eq!(again.public_hex(), key.public_hex());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            SealKey::load_or_make(&path),
            Err(KeyError::Open(_))
        ));
    }
}
