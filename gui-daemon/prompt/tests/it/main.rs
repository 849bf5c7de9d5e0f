// SPDX-License-Identifier: GPL-3.0-or-later
//! The program on an X server with a window manager, asked as the policy daemon asks.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accessibility;
mod desktop;
mod installation;
mod looks;
mod notices;
mod picture;
mod pointer;
mod questions;
mod screen;
mod session;
mod spoken;
mod whole_way;
