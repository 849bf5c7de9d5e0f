// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store over a wire and in memory, and our numbers against the installed headers.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

mod oracle;
mod store;
