// SPDX-License-Identifier: GPL-3.0-or-later
//! The process in dom0 that speaks with one domain's qrexec agent.
#![forbid(unsafe_code)]

fn main() {}
