// SPDX-License-Identifier: GPL-3.0-or-later
//! The key that seals the ledger.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use thiserror::Error;

use crate::chain::{Hash, bytes_of, hex};
use crate::record::Seal;

/// The most bytes of a key's file; a key of this kind has 83.
const FILE_MAX: u64 = 4096;
/// What is signed begins with this, so that no signature of something else is one of these.
const DOMAIN: &[u8] = b"bulkhead ledger seal 1\0";

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

/// The private key.
#[derive(Debug)]
pub struct SealKey(Ed25519KeyPair);

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

    /// The public key as hexadecimal digits.
    pub fn public_hex(&self) -> String {
        hex(self.0.public_key().as_ref())
    }

    pub(crate) fn seal(&self, sequence: u64, before: Hash) -> Seal {
        let signature = self.0.sign(&signed(sequence, before));
        Seal {
            key: self.public_hex(),
            signature: hex(signature.as_ref()),
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

/// Whether a seal with this number was made by the key.
pub(crate) fn is_sealed(key: &[u8; 32], sequence: u64, before: Hash, seal: &Seal) -> bool {
    let Some(signature) = bytes_of::<64>(seal.signature.as_bytes()) else {
        return false;
    };
    let key = UnparsedPublicKey::new(&ED25519, key);
    key.verify(&signed(sequence, before), &signature).is_ok()
}

fn signed(sequence: u64, before: Hash) -> Vec<u8> {
    [DOMAIN, &sequence.to_le_bytes(), before.as_bytes()].concat()
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

    #[test]
    fn a_seal_is_good_for_its_place_alone() {
        let root = tempfile::tempdir().unwrap();
        let key = SealKey::load_or_make(&root.path().join("seal.key")).unwrap();
        let public = public_key_from_hex(&key.public_hex()).unwrap();
        let seal = key.seal(7, Hash::genesis());
        assert!(is_sealed(&public, 7, Hash::genesis(), &seal));
        assert!(!is_sealed(&public, 8, Hash::genesis(), &seal));
        assert!(!is_sealed(&public, 7, Hash::genesis().after(b"x"), &seal));
    }
}
