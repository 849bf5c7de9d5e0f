// SPDX-License-Identifier: GPL-3.0-or-later
//! Copy-on-write volumes in pools.
#![forbid(unsafe_code)]
