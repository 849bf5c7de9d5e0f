// SPDX-License-Identifier: GPL-3.0-or-later
//! The whole product on the local back end.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod administration;
mod daemons;
mod delegation;
mod full_disk;
mod guests;
mod hostile;
mod local_story;
mod openings;
mod policy;
mod refusals;
mod scene;
mod windows;
