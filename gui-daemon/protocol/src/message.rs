// SPDX-License-Identifier: MIT OR Apache-2.0
//! What both directions have in common, and the violations that end a session.

use thiserror::Error;

use crate::limits::{HEADER_SIZE, MAX_HEIGHT, MAX_WIDTH};
use crate::wire::put;
use crate::{Kind, Sender, VersionMismatch, WindowId};

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// A message of one direction.
pub trait Message: sealed::Sealed + Sized {
    /// Who sends it.
    const SENDER: Sender;

    /// Its number.
    fn kind(&self) -> Kind;
    /// Appends the body.
    fn encode_body(&self, out: &mut Vec<u8>);
    /// Reads a body whose length has been checked.
    fn decode_body(kind: Kind, body: &[u8]) -> Result<Self, Violation>;

    /// Appends header and body.
    fn encode(&self, window: WindowId, out: &mut Vec<u8>) {
        let start = out.len();
        put(out, &[self.kind() as u32, window.0, 0]);
        self.encode_body(out);
        let length = (out.len() - start - HEADER_SIZE) as u32;
        out[start + 8..start + HEADER_SIZE].copy_from_slice(&length.to_le_bytes());
    }

    /// Header and body on their own.
    fn to_bytes(&self, window: WindowId) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(window, &mut out);
        out
    }
}

/// What no honest peer sends. The session ends; nothing else is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// A number that names no message.
    #[error("message {0} does not exist")]
    UnknownKind(u32),
    /// A message that only the other side sends.
    #[error("{0:?} came from the side that may not send it")]
    WrongWay(Kind),
    /// A body length that the message cannot have.
    #[error("{kind:?} cannot have a body of {length} bytes")]
    Length {
        /// The message.
        kind: Kind,
        /// The length in its header.
        length: u32,
    },
    /// An image beyond the limits.
    #[error("an image of {width}x{height} exceeds {MAX_WIDTH}x{MAX_HEIGHT}")]
    ImageSize {
        /// Stated width.
        width: u32,
        /// Stated height.
        height: u32,
    },
    /// An image that its pages cannot hold.
    #[error("an image that needs {needed} pages came with {given}")]
    TooFewPages {
        /// References in the message.
        given: usize,
        /// References that the size asks for.
        needed: usize,
    },
    /// A WINDOW_DUMP that does not carry grant references.
    #[error("image memory of kind {0} is not supported; use grant references")]
    DumpKind(u32),
    /// MFNDUMP, which reaches for memory that nobody granted.
    #[error("machine frame numbers are refused; use grant references")]
    MachineFrames,
    /// Versions that do not meet.
    #[error(transparent)]
    Version(#[from] VersionMismatch),
}
