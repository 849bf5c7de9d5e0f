// SPDX-License-Identifier: GPL-3.0-or-later
//! Stories about copying and opening files.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod copying;
mod programs;
mod wire;
