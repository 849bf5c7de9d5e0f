// SPDX-License-Identifier: MIT OR Apache-2.0
//! The frames and state machines of qrexec, without I/O.
#![forbid(unsafe_code)]
