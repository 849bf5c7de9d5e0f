// SPDX-License-Identifier: GPL-3.0-or-later
//! One interface to create, watch, destroy and reach a guest, with a Xen and a local back end.
//!
//! [`Hypervisor`] is what the rest of the product sees; this is the only crate that knows
//! which back end runs. A guest is created paused, so that everything that waits for it can
//! be in place before its first instruction, and it outlives the process that created it:
//! a manager that comes back finds its guests with [`Hypervisor::list`].
//!
//! The Xen back end drives `xl`. The local one runs a guest as a process tree under
//! `bwrap`, so that the product can be tried and tested on any Linux machine; **it isolates
//! nothing that matters and claims nothing**, which [`Hypervisor::warning`] says aloud.
//!
//! Trusts its caller, the hypervisor and the host's file system. Nothing that a guest writes
//! is read here but its console, and that only as text for people.
//!
//! Invariants: a failed creation leaves no guest, process or file behind; each guest's end is
//! reported once to each subscriber; a number is not given twice while the machine is up.
#![forbid(unsafe_code)]

pub mod conformance;
mod console;
mod deaths;
mod error;
mod files;
mod hypervisor;
mod local;
#[doc(hidden)]
pub mod local_guest;
mod spec;
mod xen;

pub use deaths::Deaths;
pub use error::{Cause, ControlError, CreateError, ListError, OpenError};
pub use hypervisor::Hypervisor;
pub use local::{LocalHypervisor, LocalOptions};
pub use spec::{Death, Disk, GuestKind, GuestSpec, GuestState, Kernel, RunningGuest};
pub use xen::XenHypervisor;
