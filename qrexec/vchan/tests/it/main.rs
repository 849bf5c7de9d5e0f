// SPDX-License-Identifier: MIT OR Apache-2.0
//! Stories of two domains and the channel between them.

mod local;
mod pages;
mod stream;
