// SPDX-License-Identifier: GPL-3.0-or-later
//! The command of Bulkhead.
#![forbid(unsafe_code)]

fn main() {}
