// SPDX-License-Identifier: GPL-3.0-or-later
//! The story of a suspicious file, told once for every machine that can run it.
//!
//! A [`Machine`] runs commands in dom0 and shows its desktop; the story uses nothing
//! else, so the same steps play on the local back end and on real Xen.
//!
//! Trusts dom0 of the machine under test, and what its display server says. What guests
//! print is compared, never interpreted.
//!
//! Invariants: a step waits for events and gives up after the machine's patience; a step
//! that fails says what it expected and what it saw.
#![forbid(unsafe_code)]

mod absence;
pub mod desktop;
mod local;
mod machine;
mod picture;
mod story;

pub use absence::await_absence;
pub use local::LocalMachine;
pub use machine::{Command, Machine, Output, RunId};
pub use picture::{BadPicture, Picture};
pub use story::{StepReport, Transcript, invoice, play, prepare};
