// SPDX-License-Identifier: GPL-3.0-or-later
//! The process in dom0 that shows one domain's windows.
#![forbid(unsafe_code)]
