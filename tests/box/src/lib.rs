// SPDX-License-Identifier: GPL-3.0-or-later
//! A whole machine with real Xen inside QEMU.
//!
//! [`Machine::boot`] makes the images that are not in the cache yet, starts QEMU with Xen and a
//! Debian dom0, and talks to `box-agent` in dom0 over a virtio-serial port: programs can be run
//! there, files put and fetched. Pictures of the screen come from QEMU's monitor, so they show
//! what a user would see. The machine writes to none of the cached images, and QEMU ends with
//! the value that holds it.
//!
//! # Trust
//!
//! The box is a test rig: nothing in it protects the host from what runs inside beyond what
//! QEMU does, and the host believes what box-agent says.
//!
//! # Invariants
//!
//! - Every wait has an end, and its error carries the tail of the serial console.
//! - Results travel over their own channel; the console is for people.
#![forbid(unsafe_code)]

pub mod agent;
pub mod channel;
pub mod disk;
mod error;
mod machine;
pub mod qemu;
pub mod qmp;
pub mod setup;
mod story;
pub mod wire;

pub use error::BoxError;
pub use machine::{Machine, Options, Output, Run, Started};
pub use story::StoryMachine;
