// SPDX-License-Identifier: MIT OR Apache-2.0
//! The language as its specification describes it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod deciding;
mod diagnostics;
mod differential;
mod including;
mod naive;
