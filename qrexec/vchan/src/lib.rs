// SPDX-License-Identifier: MIT OR Apache-2.0
//! A byte stream between two domains that trusts nothing the other side writes.
