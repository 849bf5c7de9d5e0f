// SPDX-License-Identifier: GPL-3.0-or-later
//! The format of a copy (`qubes.Filecopy`), without I/O.
//!
//! A copy is a series of entries: a [`Header`] of 32 bytes, the name with its closing
//! NUL, and the content. A folder comes twice, before what it holds and after, so that
//! its own mode can forbid writing. A header whose name length is 0 ends the series. The
//! receiver answers with an error code and the CRC-32 of everything it read, and may add
//! the name of the last entry ([`Answer`]).
//!
//! [`Decoder`] turns bytes into [`Event`]s and [`Encoder`] entries into bytes.

mod answer;
mod checksum;
mod decoder;
mod encoder;
mod header;
mod link;
mod name;

pub use answer::{Answer, BadAnswer, LAST_NAME_MAX, Outcome};
pub use checksum::Checksum;
pub use decoder::{Decoder, Entry, Event, Limits, Violation};
pub use encoder::Encoder;
pub use header::{HEADER_LENGTH, Header, Kind, Stamp};
pub use link::{UnsafeLink, check_link};
pub use name::{BadName, EntryName, NAME_MAX, NameRule};
