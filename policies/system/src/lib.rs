// SPDX-License-Identifier: MIT OR Apache-2.0
//! What policy has to know of the domains: the domain manager's system information.
//!
//! [`System`] is read from the JSON of `internal.GetSystemInfo` (specification of qrexec,
//! 2.4) with any serde format; unknown fields are skipped and absent ones are unset.
//!
//! Trusts the domain manager, who writes it.
//!
//! Invariants: a [`System`] never changes; its domains are sorted by name, and each is found
//! by its name and its UUID alike.
#![forbid(unsafe_code)]

mod document;
mod hash;
mod system;

pub use hash::{Map, Quick};
pub use system::{Domain, System};
