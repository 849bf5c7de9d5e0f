// SPDX-License-Identifier: GPL-3.0-or-later
//! Seals: signatures over all records before them.

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::chain::{Hash, bytes_of, hex};
use crate::record::Seal;

/// What is signed begins with this, so that no signature of something else is one of these.
const DOMAIN: &[u8] = b"bulkhead ledger seal 1\0";

/// The private key.
#[derive(Debug)]
pub struct SealKey(pub(crate) Ed25519KeyPair);

impl SealKey {
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
    use crate::key::public_key_from_hex;

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
