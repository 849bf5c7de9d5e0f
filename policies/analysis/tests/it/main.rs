// SPDX-License-Identifier: GPL-3.0-or-later
//! What is told of policies.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod differing;
mod drawing;
mod expecting;
mod explaining;
mod formatting;
mod linting;
mod suggesting;
