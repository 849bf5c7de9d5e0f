// SPDX-License-Identifier: GPL-3.0-or-later
//! The store over a wire and in memory, and our numbers against the installed headers.

mod store;
