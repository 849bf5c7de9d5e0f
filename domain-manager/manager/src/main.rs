// SPDX-License-Identifier: GPL-3.0-or-later
//! The domain manager: model, life cycle and Admin API.
#![forbid(unsafe_code)]

fn main() {}
