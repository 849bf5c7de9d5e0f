// SPDX-License-Identifier: MIT OR Apache-2.0
//! The messages of the GUI protocol, untrusted to checked, without I/O.
#![forbid(unsafe_code)]
