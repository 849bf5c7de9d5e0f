// SPDX-License-Identifier: MIT OR Apache-2.0
//! The GUI protocol, version 1.8: how a guest's windows reach the domain that owns the
//! screen. This documentation is the specification; it describes the protocol that Qubes
//! OS's agents and daemons speak.
//!
//! *Both* sides treat the other as hostile. Everything here turns bytes into checked
//! values or a [`Violation`], and does no I/O.
//!
//! # Transport
//!
//! The agent in the guest serves a vchan on port 6000, the daemon connects. All numbers
//! are 32 bits wide and little endian; there is no padding. Pixels do not travel here:
//! they lie in pages that the guest shares, and messages tell what changed in them.
//!
//! # Handshake
//!
//! | step | from | bytes | meaning |
//! |---|---|---|---|
//! | 1 | agent | 4 | its [`Version`] |
//! | 2 | daemon | 4 | the negotiated version; only if that is at least 1.4 |
//! | 3 | daemon | 16 | its [`Screen`] |
//!
//! The negotiated version has the common major and the lower minor. Other majors end
//! the session.
//!
//! # Messages
//!
//! A header of three words (type, window, body length) and a body. [`Kind`] has the
//! numbers, [`FromAgent`] and [`FromDaemon`] say what the bodies hold. The length in the
//! header must be right to the byte since 1.6; before, fixed messages have their known
//! length whatever the header says.
//!
//! Window ids are the guest's own and mean nothing to a display. Id 0
//! ([`WindowId::SCREEN`]) is the guest's whole screen.
//!
//! A window is made by CREATE, which must come before anything else about it. WINDOW_DUMP
//! must come before SHMIMAGE; hints and class before MAP. After DESTROY the guest may use
//! the id again once the daemon answered (since 1.5). After WINDOW_DUMP it keeps the old
//! pages until WINDOW_DUMP_ACK (since 1.7).
//!
//! Every CONFIGURE from the daemon is answered with CONFIGURE of the same geometry, and a
//! new image if the size changed. The daemon has at most one unanswered per window.
//!
//! # Images
//!
//! 32 bits per pixel, x8r8g8b8, rows of width x 4 bytes without gaps, pages in order. The
//! highest byte of a pixel has no meaning. Limits stand in [`limits`].
//!
//! # Broken structure, strange values
//!
//! A type, direction, length, image size, page count or memory kind that cannot be is a
//! [`Violation`] and ends the session. Any other number is passed on as the peer's wish:
//! the receiver clamps or drops it.
//!
//! Invariants: decoding never panics, never keeps more than one message of the largest
//! allowed size beyond what was fed, and what was encoded decodes to the same.
#![forbid(unsafe_code)]

mod decoder;
mod from_agent;
mod from_daemon;
mod kind;
pub mod limits;
mod message;
#[cfg(test)]
mod tests;
mod values;
mod version;
mod wire;

pub use decoder::Decoder;
pub use from_agent::{Dump, FromAgent};
pub use from_daemon::{FromDaemon, Press};
pub use kind::{Kind, Sender};
pub use message::{Message, Violation};
pub use values::{ClassPart, Text, Title, WindowFlags, WindowHints, WindowId, WireRect};
pub use version::{Screen, Version, VersionMismatch};
