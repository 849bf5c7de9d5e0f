// SPDX-License-Identifier: GPL-3.0-or-later
//! Generations of the policy: whole sets of files, numbered, and switched to at once.
//!
//! # What lies on the disk
//!
//! | path | what |
//! |---|---|
//! | `generations/N/manifest.json` | number, author, time, message, and each file's SHA-256 |
//! | `generations/N/signatures.json` | Ed25519 signatures of the manifest's bytes |
//! | `generations/N/files/` | the policy files, their tests and what they include |
//! | `generations/N/pruned.json` | when the files went, where they are no longer kept |
//! | `current` | a link to the `files` of the generation that is live |
//! | `activation.json` | who made which generation live, when and how |
//! | `lock` | held by whoever changes any of this |
//!
//! A generation is written aside, brought to the disk, and renamed into its place; then a new
//! link is renamed over `current`. Killed at any point, what is live is the old set or the new
//! one, whole; leftovers are removed by the next change.
//!
//! Old generations lose their files ([`Store::prune`]), never what they say of themselves, and never
//! the live one, the one before it, or those that the settings keep.
//!
//! # Owners
//!
//! Where public keys are configured (`policy-keys/NAME.pub`), a set is only live if each of its
//! files is signed for by a key that owns it: the first line of such a file is the key, further
//! lines are names of files (with `*` for anything) that it owns; without any it owns all.
//! A file that did not change since a generation that was signed properly does not have to be
//! signed for again, so several owners can each change their own files.
//!
//! Trusts who can write these directories, apart from what signatures are asked for.
#![forbid(unsafe_code)]

mod apply;
mod disk;
mod files;
mod keys;
mod manifest;
mod prune;
mod store;

pub use files::read_files;
pub use keys::{Key, KeyError, Keys, SigningKey};
pub use manifest::{About, Activation, Files, Manifest, Signature, sha256_hex};
pub use prune::{Keeping, Pruned};
pub use store::{Generation, LiveFiles, Store, StoreError, Unsigned, live_files};
