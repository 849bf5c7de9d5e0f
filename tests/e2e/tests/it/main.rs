// SPDX-License-Identifier: GPL-3.0-or-later
//! The whole product on the local back end.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod daemons;
mod guests;
mod local_story;
mod policy;
mod refusals;
mod scene;
