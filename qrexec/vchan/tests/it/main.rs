// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stories of two domains and the channel between them.

// Helpers of tests may panic like tests.
#![allow(clippy::unwrap_used)]

mod local;
mod pages;
mod socket;
mod stream;
