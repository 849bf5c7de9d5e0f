// SPDX-License-Identifier: GPL-3.0-or-later
//! The ledger: what was decided, who changed what may be decided, and how each call ended.
//!
//! # What lies on the disk
//!
//! | file | what |
//! |---|---|
//! | `decisions.jsonl` | the segment that is written to, a record of JSON per line |
//! | `decisions-N.jsonl` | full segments; N is the number of their first record, in 12 digits |
//! | `head` | number and chain value of the last record, rewritten after each |
//! | `seal.pub` | the public key of the seals, as hexadecimal digits |
//! | `lock` | held by the one writer |
//!
//! Each record ends with `"chain":"…"`: the SHA-256 of the chain value before it and the bytes
//! of its line up to there. A *seal* is a record with an Ed25519 signature over the chain value
//! before it; the private key lies elsewhere and is readable by its owner only.
//!
//! # What that shows
//!
//! [`verify`] finds each record that was altered, removed, put elsewhere, doubled or cut off the
//! end, with the public key alone. Who has the private key, or puts a whole older state of the
//! directory back, is found out only by comparing with a seal that was noted elsewhere; that is
//! what [`Expected`] is for.
//!
//! # Invariants
//!
//! - Numbers never repeat: what was lost in a power failure leaves a gap that is told.
//! - A record is in its file, whole, before [`Ledger::append`] returns; or nothing of it is.
#![forbid(unsafe_code)]

mod chain;
mod end;
mod head;
mod key;
mod open;
mod query;
mod record;
mod rotation;
mod seal;
mod segments;
mod time;
mod verify;
mod writer;

pub use chain::Hash;
pub use head::Head;
pub use key::{KeyError, public_key_from_hex};
pub use query::{BadQuery, EVENT_NAMES, QUERY_KEYS, Query};
pub use record::{Act, Close, Decision, Entry, Event, Seal, Stages};
pub use rotation::Limits;
pub use seal::SealKey;
pub use segments::{CURRENT, Snapshot, entries, snapshot};
pub use time::rfc3339;
pub use verify::{Expected, Finding, Problem, Verified, verify};
pub use writer::{Ledger, LedgerError};
