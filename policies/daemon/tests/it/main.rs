// SPDX-License-Identifier: GPL-3.0-or-later
//! Stories of a running `policyd`, and of the loader it shares with the command line.

mod defaults;
mod fixture;
mod life;
mod loading;
mod questions;
