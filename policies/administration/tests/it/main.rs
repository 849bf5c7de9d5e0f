// SPDX-License-Identifier: GPL-3.0-or-later
//! Domains that administer the policy of dom0.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod delegation;
