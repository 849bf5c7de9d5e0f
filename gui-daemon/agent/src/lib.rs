// SPDX-License-Identifier: GPL-3.0-or-later
//! The process in a guest that shares its windows with the domain that owns the screen.
//!
//! It runs beside an ordinary X server (Xvfb): every top-level window is redirected into
//! a pixmap of its own (XComposite), changes are reported (XDamage), changed parts are
//! fetched (MIT-SHM) and copied into pages that only the GUI domain may read. Keys and
//! pointer come back through XTEST. It is the X server's window manager, but leaves every
//! decision to the one in dom0.
//!
//! Trusts the X server. Does not trust the daemon more than its protocol: what it says is
//! decoded and checked, and a broken protocol ends the channel, not the agent. Nothing of
//! the guest depends on the daemon being there.
//!
//! Invariants: pages that the daemon may look at are neither freed nor written with
//! another row length before it has let go of them; a window id is not announced again
//! before the daemon has said that the old window is gone; no key stays pressed that the
//! daemon cannot release any more; nothing waits for the daemon.
#![forbid(unsafe_code)]

mod atoms;
mod capture;
mod changed;
mod desktop;
mod guest;
mod keyboard;
mod link;
mod manage;
mod obey;
mod placement;
mod pointer;
mod serve;

pub use serve::{AgentError, serve};
