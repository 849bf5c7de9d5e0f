// SPDX-License-Identifier: GPL-3.0-or-later
//! The process in a guest that starts services.
#![forbid(unsafe_code)]
