// SPDX-License-Identifier: GPL-3.0-or-later
//! The process in a guest that shares its windows.
#![forbid(unsafe_code)]
