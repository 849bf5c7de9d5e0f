// SPDX-License-Identifier: GPL-3.0-or-later
//! From a checked set to the live policy.

use policy_generations::{About, Keys, Manifest, SigningKey, Store, StoreError, sha256_hex};
use thiserror::Error;

use crate::set::Set;

/// A generation that went live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activated {
    /// Its number.
    pub number: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// Why a set did not go live. What was live still is.
#[derive(Debug, Error)]
pub enum NotActivated {
    /// The generation cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a set live as the next generation; `only_try` does all but that.
///
/// The set has to have been checked and tested. `next` is what [`Store::next`] said before the
/// set was read: whoever made another one live since then is not overruled unseen.
///
/// # Errors
///
/// An owner has not signed, another generation came first, or the disk says no.
pub fn activate(
    store: &Store,
    owners: &Keys,
    next: &(u64, Option<String>),
    set: &Set,
    about: About,
    keys: &[SigningKey],
    only_try: bool,
) -> Result<Activated, NotActivated> {
    let (number, parent) = next.clone();
    let manifest = Manifest::new(number, about, parent, set.files());
    let bytes = manifest.to_bytes();
    let signatures: Vec<_> = keys.iter().map(|key| key.sign(&bytes)).collect();
    store.signed(owners, &manifest, &signatures)?;
    if !only_try {
        store.apply(owners, &manifest, set.files(), &signatures)?;
    }
    Ok(Activated {
        number,
        sha256: sha256_hex(&bytes),
    })
}
