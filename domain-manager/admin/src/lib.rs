// SPDX-License-Identifier: MIT OR Apache-2.0
//! The wire format of the Admin API, both sides, without I/O.
//!
//! One request per connection of a Unix stream socket: the caller writes the header
//! `METHOD[+ARGUMENT] SOURCE name DESTINATION`, a NUL byte and the payload, closes its
//! writing side and reads the reply to its end. The header is the one that qrexec sends
//! to a socket service, so a call from a domain arrives in the same form. (Specification
//! of the domain manager, 1.2 and 1.3.)
//!
//! Trusts nobody: requests may come from a domain by way of qrexec, and a client checks
//! what a server answers.
//!
//! Invariants: a [`Request`] that was read can be written and read again unchanged; a
//! reply is never empty; no text of an exception can end its field early.
#![forbid(unsafe_code)]

mod extension;
mod reply;
mod request;

pub use extension::{DomainSummary, StageTime, StartReport, Status, TemplateSource};
pub use reply::{BadReply, Exception, Reply};
pub use request::{BadRequest, Destination, REQUEST_MAX, Request};
