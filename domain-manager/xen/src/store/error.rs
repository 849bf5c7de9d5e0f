// SPDX-License-Identifier: MIT OR Apache-2.0
//! What xenstore refuses, and how else talking to it fails.

use std::fmt;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a store said no: the errors of the wire protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `ENOENT`: there is no such node.
    NotFound,
    /// `EACCES`: this domain may not.
    Denied,
    /// `EEXIST`: it is there already.
    Exists,
    /// `EAGAIN`: another transaction changed the same nodes first.
    Conflict,
    /// `EINVAL`: not a path, or not a request that makes sense.
    Invalid,
    /// `ENOSPC`: this domain has used up what it may hold.
    Quota,
    /// `E2BIG`: more than fits into one answer, or too many watches.
    TooBig,
    /// Another error of the protocol, by its name.
    Other(String),
}

const NAMES: [(Refusal, &str, &str); 7] = [
    (Refusal::NotFound, "ENOENT", "it is not there"),
    (Refusal::Denied, "EACCES", "this domain may not"),
    (Refusal::Exists, "EEXIST", "it is there already"),
    (
        Refusal::Conflict,
        "EAGAIN",
        "another transaction was faster",
    ),
    (Refusal::Invalid, "EINVAL", "it makes no sense to the store"),
    (Refusal::Quota, "ENOSPC", "this domain's quota is used up"),
    (Refusal::TooBig, "E2BIG", "it is too much for the store"),
];

impl Refusal {
    /// Reads an error of the wire protocol.
    pub fn from_wire(name: &str) -> Self {
        let known = NAMES.iter().find(|(_, wire, _)| *wire == name);
        known.map_or_else(
            || Self::Other(name.to_owned()),
            |(refusal, ..)| refusal.clone(),
        )
    }

    /// Its name in the wire protocol.
    pub fn wire_name(&self) -> &str {
        match self {
            Self::Other(name) => name,
            known => NAMES
                .iter()
                .find(|(r, ..)| r == known)
                .map_or("EIO", |(_, wire, _)| wire),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(name) => write!(f, "the store says {}", name.escape_default()),
            known => f.write_str(
                NAMES
                    .iter()
                    .find(|(r, ..)| r == known)
                    .map_or("", |(.., words)| words),
            ),
        }
    }
}

/// Why a request to xenstore did not succeed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The store said no.
    #[error("xenstore refused to {action} `{path}`: {refusal}")]
    Refused {
        /// What was asked.
        action: &'static str,
        /// Of which node.
        path: String,
        /// Why not.
        refusal: Refusal,
    },
    /// Nobody is there to ask.
    #[error("cannot reach xenstore at {}", at.display())]
    Unreachable {
        /// The socket or device.
        at: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It answered something that cannot be.
    #[error("xenstore broke its protocol: {0}")]
    Broken(&'static str),
    /// The connection failed.
    #[error("the connection to xenstore failed")]
    Io(#[from] io::Error),
}

impl StoreError {
    /// Whether the store refused for this reason.
    pub fn is(&self, reason: &Refusal) -> bool {
        matches!(self, Self::Refused { refusal, .. } if refusal == reason)
    }
}
