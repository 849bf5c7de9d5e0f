// SPDX-License-Identifier: GPL-3.0-or-later
//! From a recipe to a template image.
//!
//! A recipe (TOML, see [`Recipe`]) names Debian packages, files and programs. Two stages,
//! cached apart from each other, turn it into what the domain manager imports:
//!
//! 1. the *Debian tree*, made by `mmdebstrap`: slow, and changes only with the list of
//!    packages ([`debian`]);
//! 2. the *image*: the tree with our files and programs as an ext4 file system, with the
//!    kernel, a small initramfs and a manifest beside it: seconds ([`image`]).
//!
//! # Trust
//!
//! Recipes, their files and the Debian archive (checked by its signatures) are trusted;
//! they decide what runs in a guest. Nothing made here is trusted by dom0 at run time: a
//! template is as hostile as any guest.
//!
//! # Invariants
//!
//! - The same inputs give the same bytes: no time, random number, host name or order of a
//!   folder's entries reaches an output.
//! - A cache entry is complete or absent: it is made elsewhere and renamed into place.
//! - Nothing needs root; without it the work is done in a user name space.
#![forbid(unsafe_code)]

pub mod archive;
pub mod cache;
pub mod cpio;
pub mod debian;
mod digest;
mod error;
pub mod ext4;
mod filesystem;
pub mod image;
pub mod initramfs;
mod install;
mod kernel;
pub mod manifest;
pub mod modules;
pub mod overlay;
mod parts;
mod recipe;
pub mod tool;

pub use cache::Cache;
pub use digest::{Digest, Hasher};
pub use error::BuildError;
pub use image::{Builder, Built};
pub use install::{InstallList, Installed};
pub use manifest::Manifest;
pub use recipe::{Recipe, RecipeError};
