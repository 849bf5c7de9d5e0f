// SPDX-License-Identifier: GPL-3.0-or-later
//! Copy-on-write volumes in pools.
//!
//! A [`Pool`] keeps the volumes of all domains below one folder. A domain that starts gets
//! working copies of its volumes; when it stops, what it wrote to the volumes it owns
//! becomes their new content and everything else is dropped. On XFS and btrfs a working copy
//! shares its blocks with what it was made from, so it costs the same whatever its size.
//!
//! Trusts the host's file system and the manager. Never looks into a volume: what a guest
//! wrote there is opaque, is never mounted and is never interpreted.
//!
//! Invariants:
//! - Each operation is done or not done. It may be killed at any instant: what it leaves is
//!   either put right by repeating it or removed by [`Pool::repair`].
//! - What a kept volume held before a run can be read until the run is committed.
//! - An operation that fails leaves nothing behind.
//! - Only a pool with the right owner is touched: a manager with a new, empty database does not
//!   take the volumes of the old one for rubbish.
//!
//! # Names in a pool
//!
//! | name | what |
//! |---|---|
//! | `bulkhead-pool` | whose pool it is; locked while it is open |
//! | `work/` | the volumes of `work` |
//! | `work/private.img` | a kept volume as the last run left it |
//! | `work/private.img.run` | the working copy of the present run |
//! | `work/private.img.rev-0000000003` | what the volume held before its third commit |
//! | `work/private.img.new` | a copy that is being made |
//! | `.new-work/` | volumes that are being made |
//! | `.gone-work/` | volumes that are being removed |
//!
//! In a pool of folders the `.img` is missing and each volume is a folder. A domain's name
//! starts with a letter, so none can be mistaken for a name of ours.
#![forbid(unsafe_code)]

mod driver;
mod error;
mod folder;
mod names;
mod pool;
mod repair;
mod run;
mod spec;

pub use error::{OpenError, VolumeError};
pub use pool::{Pool, PoolOptions, Step};
pub use spec::{KnownDomain, Life, Repaired, Sizes, StartedVolume, VolumeSpec};
