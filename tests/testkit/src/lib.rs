// SPDX-License-Identifier: GPL-3.0-or-later
//! A whole installation on the local back end, inside one folder.
//!
//! A [`Fixture`] has its own root, settings, policy, daemons, display and guests, so that
//! many of them run side by side without privileges. Everything it starts is a descendant
//! of one process, `testkit-init`, which ends all of it when the fixture is dropped, when
//! the test panics and even when the test is killed.
//!
//! Trusts the programs of this workspace to be built. Nothing else on the machine is
//! touched outside the fixture's folder and the display's socket.
//!
//! Invariants: waiting is for events (sockets, files, ends of processes) and always has a
//! limit; nothing outlives its fixture.
#![forbid(unsafe_code)]

mod account;
mod capture;
mod display;
mod first_process;
mod fixture;
mod log;
mod outcome;
mod processes;
mod programs;
mod readiness;
pub mod wire;

pub use account::{Leftovers, account};
pub use capture::{Captured, Running};
pub use display::Display;
pub use fixture::{Fixture, FixtureOptions};
pub use log::Log;
pub use outcome::outcome;
pub use processes::{Process, Processes};
pub use programs::{MissingProgram, Programs};
