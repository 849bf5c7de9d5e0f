// SPDX-License-Identifier: GPL-3.0-or-later
//! Changing a policy: what it would be after a change, and the way from there to the live one.
//!
//! A [`Set`] is a set of policy files in memory. A change makes another set of it: [`Place`] says
//! where a new rule goes, [`insert_rule`] and [`remove_rule`] change a text by whole lines, so that
//! comments stay. [`Set::policy`] and [`Set::unmet`] say whether the changed set may go live:
//! without an error, and with every expectation of its `*.test` files met. [`activate`] makes it
//! live, whole, as a generation; [`prune`] lets go of the files of old ones.
//!
//! Trusts whoever may write the policy directory.
//!
//! Invariants:
//! - nothing is written before the whole changed set has been checked and tested;
//! - what is checked are the bytes that are written, not what lies on the disk by then.
#![forbid(unsafe_code)]

mod activate;
mod domains;
mod keeping;
mod place;
pub mod service;
mod set;
mod text;
mod write;

pub use activate::{Activated, NotActivated, activate, activate_proposal};
pub use keeping::{NotPruned, prune};
pub use place::{NoPlace, Place, Wish, contradicting};
pub use set::{Set, Unmet};
pub use text::{RuleLine, insert_rule, remove_rule, rule_line};
pub use write::{alone_in, replace_file};
