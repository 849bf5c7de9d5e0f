// SPDX-License-Identifier: MIT OR Apache-2.0
//! Policies, systems and calls for the tests and benches of what is built on the language:
//! [`small`] ones told by hand, [`random`] ones of few words, and [`large`] ones that are the
//! same in each run.
//!
//! Trusts its callers, who are tests: what makes no sense panics.
//!
//! Invariants: nothing here reads a clock, a file or the environment.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

pub mod large;
pub mod random;
mod shown;
pub mod small;

pub use shown::{shown, told};
