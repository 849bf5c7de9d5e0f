// SPDX-License-Identifier: GPL-3.0-or-later
//! What a developer runs: try, test, bench.
#![forbid(unsafe_code)]

fn main() {}
