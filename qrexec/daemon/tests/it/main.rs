// SPDX-License-Identifier: GPL-3.0-or-later
//! The real daemon, agents and clients over the local transport and over plain sockets, with policy and domain manager played
//! by the tests.
//!
//! The other packages' programs have to be there: `cargo build --workspace --bins`.
#![forbid(unsafe_code)]
#![allow(missing_docs, clippy::unwrap_used)]

mod account;
mod background;
mod calls;
mod confinement;
mod crowds;
mod cuts;
mod disposables;
mod faults;
mod fixture;
mod kills;
mod one_socket;
mod pam;
mod refusals;
mod remote;
mod reports;
mod sessions;
mod silence;
mod sizes;
mod sockets;
mod timing;
mod traces;
mod versions;
