// SPDX-License-Identifier: GPL-3.0-or-later
//! The story of a suspicious file, on any machine that can run it.
#![forbid(unsafe_code)]
