// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames: a kind, a length, a body; and the receiver that checks each link's own rules.

use std::ops::RangeInclusive;

use thiserror::Error;

use crate::limits::HEADER_LEN;
use crate::version::{TooOld, Version};

/// The kinds of frames and their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Kind {
    /// Caller to service: bytes for the service's input; empty means end.
    DataStdin = 0x190,
    /// Service to caller: bytes of the service's output; empty means end.
    DataStdout = 0x191,
    /// Service to caller: bytes of the service's error stream; empty means end.
    DataStderr = 0x192,
    /// Service to caller: the exit code, a signed word.
    DataExitCode = 0x193,
    /// Start a command and attach its streams.
    ExecCmdline = 0x200,
    /// Start a command on `/dev/null`; only an exit code comes back.
    JustExec = 0x201,
    /// A pending request was allowed: where its data vchan is.
    ServiceConnect = 0x202,
    /// A pending request was refused.
    ServiceRefused = 0x203,
    /// A request of a domain, version 2.
    TriggerV2 = 0x210,
    /// The data vchan of a call is no longer in use.
    ConnectionTerminated = 0x211,
    /// A request of a domain, version 3.
    TriggerV3 = 0x212,
    /// A request of a domain, version 4.
    TriggerV4 = 0x213,
    /// The version that the sender speaks.
    Hello = 0x300,
}

impl Kind {
    /// The kind with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        use Kind::*;
        [
            DataStdin,
            DataStdout,
            DataStderr,
            DataExitCode,
            ExecCmdline,
            JustExec,
            ServiceConnect,
            ServiceRefused,
            TriggerV2,
            ConnectionTerminated,
            TriggerV3,
            TriggerV4,
            Hello,
        ]
        .into_iter()
        .find(|kind| *kind as u32 == number)
    }
}

/// The header of a frame as the peer sent it: nothing in it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UntrustedHeader {
    /// The kind's number.
    pub kind: u32,
    /// Length of the body, in bytes.
    pub len: u32,
}

impl UntrustedHeader {
    /// Reads a header from its 8 bytes.
    pub fn read(bytes: [u8; HEADER_LEN]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Self {
            kind: u32::from_le_bytes([a, b, c, d]),
            len: u32::from_le_bytes([e, f, g, h]),
        }
    }
}

/// The 8 bytes of a header for a body of `len` bytes.
pub fn header(kind: Kind, len: u32) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[..4].copy_from_slice(&(kind as u32).to_le_bytes());
    bytes[4..].copy_from_slice(&len.to_le_bytes());
    bytes
}

/// A whole frame whose body is the given parts, one after the other.
pub fn frame(kind: Kind, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = Vec::with_capacity(HEADER_LEN + len);
    // A body longer than 4 GiB does not occur: every sender checks its parts against `limits`.
    bytes.extend_from_slice(&header(kind, u32::try_from(len).unwrap_or(u32::MAX)));
    for part in parts {
        bytes.extend_from_slice(part);
    }
    bytes
}

/// A `HELLO` that offers `version`.
pub fn hello(version: Version) -> Vec<u8> {
    frame(Kind::Hello, &[&version.number().to_le_bytes()])
}

/// Reads the word at `at`, if there is one.
pub(crate) fn word(body: &[u8], at: usize) -> Option<u32> {
    let bytes = body.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Why a peer's bytes are no conversation: its session has to end.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// A kind that does not belong on this link, in this version or at this moment.
    #[error("a message of kind {0:#x} does not belong here")]
    UnexpectedKind(u32),
    /// A body length that the kind cannot have.
    #[error("a message of kind {kind:#x} cannot have a body of {len} bytes")]
    BadLength {
        /// The kind's number.
        kind: u32,
        /// The length announced.
        len: u32,
    },
    /// The body does not hold what its kind promises.
    #[error("the body of a message of kind {kind:#x} is malformed: {what}")]
    BadBody {
        /// The kind's number.
        kind: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The peer's version is too old.
    #[error(transparent)]
    TooOld(#[from] TooOld),
}

/// The rules of one direction of one link.
pub trait Role {
    /// What a frame becomes once it is checked.
    type Message;
    /// The version to offer and the oldest to take; `None` on links without a `HELLO`.
    const HELLO: Option<(Version, Version)>;

    /// The lengths that a body of this kind may have, or `None` if it does not belong here.
    fn bounds(kind: Kind, version: Version) -> Option<RangeInclusive<usize>>;

    /// Checks a body whose kind and length passed [`Role::bounds`].
    fn parse(kind: Kind, body: &[u8]) -> Result<Self::Message, &'static str>;
}

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<M> {
    /// The peer's `HELLO`; this version holds from now on.
    Agreed(Version),
    /// A message.
    Message(M),
}

/// Puts frames together from bytes as they come, and checks them by the rules of `R`.
///
/// After a [`Violation`] the receiver takes nothing more: the session is over.
#[derive(Debug)]
pub struct Receiver<R: Role> {
    bytes: Vec<u8>,
    version: Option<Version>,
    /// No newer version than this holds.
    offer: Version,
    broken: Option<Violation>,
    role: std::marker::PhantomData<R>,
}

impl<R: Role> Default for Receiver<R> {
    fn default() -> Self {
        let version = if R::HELLO.is_some() {
            None
        } else {
            Some(Version::OWN)
        };
        Self {
            bytes: Vec::new(),
            version,
            offer: Version::OWN,
            broken: None,
            role: std::marker::PhantomData,
        }
    }
}

impl<R: Role> Receiver<R> {
    /// A receiver before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// A receiver of somebody who offers `version` and not the newest that there is.
    pub fn offering(version: Version) -> Self {
        Self {
            offer: version,
            ..Self::default()
        }
    }

    /// The agreed version, once the peer's `HELLO` is in.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// The newest version that this side speaks.
    pub fn offer(&self) -> Version {
        self.offer
    }

    /// Bytes that were pushed and belong to no finished frame yet.
    pub fn pending(&self) -> usize {
        self.bytes.len()
    }

    /// Takes bytes from the peer. Call [`Self::next`] until it has nothing before pushing more.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.broken.is_none() {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// The next checked message, or `None` when more bytes are needed.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would hide the violation"
    )]
    pub fn next(&mut self) -> Result<Option<Incoming<R::Message>>, Violation> {
        if let Some(violation) = &self.broken {
            return Err(violation.clone());
        }
        let result = self.take();
        if let Err(violation) = &result {
            self.broken = Some(violation.clone());
            self.bytes = Vec::new();
        }
        result
    }

    fn take(&mut self) -> Result<Option<Incoming<R::Message>>, Violation> {
        let Some(first) = self.bytes.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let UntrustedHeader { kind: number, len } = UntrustedHeader::read(*first);
        let kind = Kind::from_number(number).ok_or(Violation::UnexpectedKind(number))?;
        let bounds = match self.version {
            None if kind == Kind::Hello => Some(4..=4),
            None => None,
            Some(version) => R::bounds(kind, version),
        };
        let bounds = bounds.ok_or(Violation::UnexpectedKind(number))?;
        let length = usize::try_from(len).unwrap_or(usize::MAX);
        if !bounds.contains(&length) {
            return Err(Violation::BadLength { kind: number, len });
        }
        let end = HEADER_LEN + length;
        let Some(body) = self.bytes.get(HEADER_LEN..end) else {
            return Ok(None);
        };
        let incoming = match (self.version, R::HELLO) {
            (None, Some((own, least))) => {
                let peer = word(body, 0).unwrap_or_default();
                let version = Version::agree(own.min(self.offer), least, peer)?;
                self.version = Some(version);
                Incoming::Agreed(version)
            }
            _ => {
                let bad = |what| Violation::BadBody { kind: number, what };
                Incoming::Message(R::parse(kind, body).map_err(bad)?)
            }
        };
        self.bytes.drain(..end);
        Ok(Some(incoming))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_the_one_of_its_kind() {
        for number in [
            0x190, 0x191, 0x192, 0x193, 0x200, 0x201, 0x202, 0x203, 0x210, 0x211, 0x212, 0x213,
            0x300,
        ] {
            assert_eq!(
                Kind::from_number(number).map(|kind| kind as u32),
                Some(number)
            );
        }
        assert_eq!(Kind::from_number(0x204), None);
    }

    #[test]
    fn a_frame_is_two_words_and_a_body() {
        assert_eq!(hello(Version::V4), b"\0\x03\0\0\x04\0\0\0\x04\0\0\0");
        assert_eq!(
            frame(Kind::DataStdin, &[b"ab", b"c"]),
            b"\x90\x01\0\0\x03\0\0\0abc"
        );
    }
}
