// SPDX-License-Identifier: GPL-3.0-or-later
//! A whole installation on the local back end, inside one folder.
#![forbid(unsafe_code)]
