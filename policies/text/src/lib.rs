// SPDX-License-Identifier: MIT OR Apache-2.0
//! Policy texts: their words, the places in them, and what is wrong with them as data.
//!
//! The language, the tests of policies and lint all read lines of words and complain about
//! places in them; this is what they share. Programs show a [`Diagnostic`] as they like.
//!
//! Trusts nobody: a text may hold anything.
//!
//! Invariants: a [`Span`] names a stretch of a file of its [`SourceMap`]; no text makes a
//! function of this crate panic.
#![forbid(unsafe_code)]
#![expect(
    clippy::result_large_err,
    reason = "an error is made once and ends in a list; it is not passed up a hot path"
)]

mod diagnostic;
mod nearest;
mod place;
mod words;

pub use diagnostic::{Diagnostic, Help, Note, Rejected, Severity};
pub use nearest::nearest;
pub use place::{FileId, Location, SourceFile, SourceMap, Span};
pub use words::{Word, words};
