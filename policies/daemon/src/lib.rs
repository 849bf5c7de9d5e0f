// SPDX-License-Identifier: GPL-3.0-or-later
//! The policy daemon: decides calls and keeps the ledger.
//!
//! The library holds what the command line shares with the daemon: [`load_policy`] reads
//! policy directories, [`render`] shows what is wrong with one.
//!
//! Trusts the files below the policy directories, whose owner is root, and the domain
//! manager on its internal socket. The texts in a question come from guests by way of their
//! qrexec daemons and are checked again.
//!
//! Invariants:
//! - whatever cannot be decided or recorded is refused;
//! - a policy that does not parse never becomes live, the last good one stays; without any
//!   good one everything is refused;
//! - no answer leaves before its record is in the ledger.
#![forbid(unsafe_code)]

mod load;
mod render;

pub use load::{Directory, load_policy};
pub use render::render;
