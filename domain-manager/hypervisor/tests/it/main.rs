// SPDX-License-Identifier: GPL-3.0-or-later
//! The back ends that run anywhere, judged from outside.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod conformance;
mod local;
mod machine;
