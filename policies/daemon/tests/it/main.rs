// SPDX-License-Identifier: GPL-3.0-or-later
//! Stories of a running `policyd`, and of the loader it shares with the command line.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent;
mod asking;
mod book;
mod defaults;
mod evaluating;
mod fixture;
mod granting;
mod life;
mod limits;
mod loading;
mod questions;
mod reporting;
