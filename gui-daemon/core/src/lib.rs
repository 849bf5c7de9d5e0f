// SPDX-License-Identifier: GPL-3.0-or-later
//! What windows a guest has and what may be shown of them, without I/O.
#![forbid(unsafe_code)]
