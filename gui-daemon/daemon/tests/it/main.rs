// SPDX-License-Identifier: GPL-3.0-or-later
//! The daemon and the agent on real X servers: one is dom0's, with a window manager, one
//! the guest's. What is checked is what a user would see: pixels and titles.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "what goes wrong in a test ends it")]

mod confined;
mod dom0;
mod guest;
mod hostile;
mod keys;
mod places;
mod terminal;
mod xserver;
