// SPDX-License-Identifier: GPL-3.0-or-later
//! The command as a person meets it: what it prints, and its exit code.
//!
//! The domain manager is a socket with prepared answers; policy is real and offline.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected fails")]

mod audit;
mod completing;
mod fixture;
mod help;
mod live;
mod messages;
mod policy;
