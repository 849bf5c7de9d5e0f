// SPDX-License-Identifier: GPL-3.0-or-later
//! One interface to create, watch, destroy and reach a guest, with a Xen and a local back end.
#![forbid(unsafe_code)]
