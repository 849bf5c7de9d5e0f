// SPDX-License-Identifier: GPL-3.0-or-later
//! Ledgers as they are written, cut, edited and read.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod edits;
mod fixture;
mod writing;
