// SPDX-License-Identifier: GPL-3.0-or-later
//! The command.
#![forbid(unsafe_code)]

fn main() {}
