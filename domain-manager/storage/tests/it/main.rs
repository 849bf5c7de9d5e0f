// SPDX-License-Identifier: GPL-3.0-or-later
//! What a pool promises, on a real XFS and in plain folders.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod faults;
mod killed;
mod life_cycle;
mod model;
mod place;
mod sharing;
