// SPDX-License-Identifier: GPL-3.0-or-later
//! The policy daemon: decides calls and keeps the ledger.
#![forbid(unsafe_code)]
