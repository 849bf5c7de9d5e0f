// SPDX-License-Identifier: GPL-3.0-or-later
//! What windows a guest has and what may be shown of them, without I/O.
//!
//! [`Windows`] takes the guest's messages and the display's events and answers with
//! [`Effect`]s: commands to the display and messages to the guest, as data. It knows no
//! display, no page and no clock, so every rule of what a guest may do to the user's
//! desktop can be read and tested here.
//!
//! Trusts the display and the domain's name and label, which come from dom0. Does not
//! trust the guest: every number of its messages is clamped or dropped here.
//!
//! # Surfaces and frames
//!
//! Every window is shown on a *surface* that is larger by [`FRAME`] pixels on each side;
//! these pixels carry the label's colour and belong to the display. Wherever its guest
//! wants a window, its surface is kept in the work area, so that the frame is seen whether
//! or not there is a window manager; only the user moves an ordinary one off the screen.
//! Where there is no room around an override-redirect window (a menu, a tooltip), the
//! frame takes the outermost pixels of the content. The guest sees coordinates of its
//! content only, and is told those that it really got.
//!
//! Invariants, held by property tests over random histories:
//! - an ordinary surface lies in the work area, unless the user moved it or changed the
//!   work area since its guest last chose its place;
//! - a mapped override-redirect surface lies in the work area or wholly off the screen,
//!   and is no larger than nine tenths of the work area when its guest chose the size;
//! - nothing is ever drawn on a frame;
//! - at most one CONFIGURE per window is unanswered, and a guest that answers ends up
//!   with the geometry of the display, as soon as its window is shown;
//! - no page is mapped after its release, and windows and pages stay below [`Limits`].
#![forbid(unsafe_code)]

mod damage;
mod display;
mod effect;
mod geometry;
mod hints;
mod keyboard;
mod painting;
mod placement;
pub mod record;
#[cfg(test)]
mod tests;
mod text;
mod window;
mod windows;

pub use damage::Damage;
pub use effect::{Command, Effect, Event, StateChange};
pub use geometry::{FRAME, Point, Rect};
pub use hints::SizeHints;
pub use text::{printable, shown_title};
pub use windows::{Limits, Misconduct, Windows};
