// SPDX-License-Identifier: GPL-3.0-or-later
//! From a checked set to the live policy.

use policy_generations::{
    About, Keys, Manifest, Signature, SigningKey, Store, StoreError, sha256_hex,
};
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
    /// It brings in older files, which lie outside of it, where no signature covers them.
    #[error(
        "it includes what is not part of it, so nobody can sign for that: the files of `!compat-4.0`, in {0}"
    )]
    Outside(String),
    /// The files are not those of the proposal.
    #[error("the files are not those that were proposed")]
    Another,
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
    activate_proposal(store, owners, &manifest, set, &signatures, only_try)
}

/// Makes a set live as the generation that its owners have signed elsewhere.
///
/// # Errors
///
/// As [`activate`]; also when the set is not what was proposed.
pub fn activate_proposal(
    store: &Store,
    owners: &Keys,
    proposal: &Manifest,
    set: &Set,
    signatures: &[Signature],
    only_try: bool,
) -> Result<Activated, NotActivated> {
    let Manifest { number, parent, .. } = proposal;
    let own = Manifest::new(*number, proposal.about.clone(), parent.clone(), set.files());
    if own != *proposal {
        return Err(NotActivated::Another);
    }
    if store.next()? != (*number, parent.clone()) {
        return Err(StoreError::Overtaken.into());
    }
    store.signed(owners, proposal, signatures)?;
    // Where owners sign, the policy daemon reads nothing but the set; it was checked with the rest.
    if !owners.is_empty()
        && let Some(place) = set.brings_in_older_files()
    {
        return Err(NotActivated::Outside(place));
    }
    if !only_try {
        store.apply(owners, proposal, set.files(), signatures)?;
    }
    Ok(Activated {
        number: *number,
        sha256: sha256_hex(&proposal.to_bytes()),
    })
}
