// SPDX-License-Identifier: GPL-3.0-or-later
//! The domain manager: model, life cycle and Admin API.
//!
//! `bulkheadd` knows every domain, brings it up and takes it down, and answers the Admin API.
//! It never reads a byte that a guest wrote: guests are faced by one daemon each, which this
//! one starts and watches.
//!
//! Trusts the hypervisor, the host's file system and whoever may open its sockets. A request
//! that comes from a domain, by way of its qrexec daemon and policy, may do little more than
//! have a disposable made.
//!
//! Invariants:
//! - A change is durable before it is acknowledged or published.
//! - An effect outside this process is preceded by a record of the intention. Killed at any
//!   instant, the next start repairs: no half domain, no orphan volume, no second guest.
//! - At most one piece of work is under way for a domain; there is no lock across domains.
//! - Every request gets a reply with a kind that clients know; none is empty.
#![forbid(unsafe_code)]

pub mod api;
pub mod daemon;
pub mod daemons;
pub mod failure;
pub mod host;
pub mod life;
pub mod model;
pub mod settings;
pub mod step;
pub mod store;
pub mod work;
