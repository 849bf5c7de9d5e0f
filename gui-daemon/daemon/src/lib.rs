// SPDX-License-Identifier: GPL-3.0-or-later
//! The process in dom0 that shows one domain's windows.
//!
//! They are two processes. The launcher ([`launch`]) starts sessions and finds for them the
//! pages of their guest. A session ([`serve`]) opens what it needs, is confined, and then reads
//! the bytes of the domain's agent, so what a hostile guest can reach at worst is its own
//! windows. Bytes become messages in `gui-protocol`, what they may do is decided in
//! `gui-core`, and [`X11`] carries it out. With the session its windows go.
//!
//! Trusts its command line (whose windows, in which colour), the display and the other
//! programs of dom0. Does not trust the agent: a broken protocol ends the session, and
//! the launcher starts the next. The launcher does not trust the session.
//!
//! Invariants: no wait on the guest ever keeps an event of the user waiting; the pages of
//! the guest are read once per damaged pixel and are never writable; what the guest has
//! not read stays below a limit; when the agent goes, its windows go.
#![forbid(unsafe_code)]

mod errand;
mod launcher;
mod serve;
mod session;
mod x11;

pub use errand::ToLauncher;
pub use launcher::{Ending, LaunchError, SESSION_NAME, launch};
pub use serve::{ServeError, serve};
pub use session::SessionEnd;
pub use x11::{DisplayError, X11};
