// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes over the data vchan of one call.
//!
//! Both sides send `HELLO`; from then on the caller sends `DATA_STDIN`, the service sends
//! `DATA_STDOUT`, `DATA_STDERR` and at last one `DATA_EXIT_CODE`, after which it closes. An empty
//! body ends its stream. Bodies hold at most 4096 bytes at version 2 and 65 536 from version 3 on.
//!
//! Bodies are not gathered: the decoder hands out each piece of a stream as it comes in, so
//! nothing is copied and nothing grows.

use crate::exit;
use crate::frame::{Kind, UntrustedHeader, Violation, frame, header};
use crate::limits::{DATA_MAX_V2, DATA_MAX_V3, HEADER_LEN};
use crate::version::Version;

/// A stream of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Caller to service.
    Stdin,
    /// Service to caller.
    Stdout,
    /// Service to caller, what is meant for people.
    Stderr,
}

impl Stream {
    fn kind(self) -> Kind {
        match self {
            Self::Stdin => Kind::DataStdin,
            Self::Stdout => Kind::DataStdout,
            Self::Stderr => Kind::DataStderr,
        }
    }

    /// The header for `len` bytes of this stream.
    pub fn header(self, len: usize) -> [u8; HEADER_LEN] {
        header(self.kind(), u32::try_from(len).unwrap_or(u32::MAX))
    }

    /// The frame that ends this stream.
    pub fn end(self) -> Vec<u8> {
        self.header(0).to_vec()
    }
}

/// The frame that carries an exit code.
pub fn exit_code(code: i32) -> Vec<u8> {
    frame(Kind::DataExitCode, &[&code.to_le_bytes()])
}

/// The largest body at this version.
pub fn body_max(version: Version) -> usize {
    if version == Version::V2 {
        DATA_MAX_V2
    } else {
        DATA_MAX_V3
    }
}

/// What came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The peer's `HELLO`, always first; this version holds.
    Agreed(Version),
    /// Bytes of a stream, never empty.
    Bytes(Stream, &'a [u8]),
    /// The end of a stream.
    End(Stream),
    /// The service's exit code.
    ExitCode(i32),
}

#[derive(Clone, Copy, Debug)]
enum Expect {
    /// A header, of which this many bytes are in.
    Header([u8; HEADER_LEN], usize),
    /// The peer's version number.
    Hello([u8; 4], usize),
    /// The rest of a stream's body.
    Body(Stream, usize),
    /// The rest of an exit code's body: bytes so far, how many, how many to come.
    Code([u8; 4], usize, usize),
}

/// Takes the bytes of a data vchan apart.
#[derive(Clone, Debug)]
pub struct Decoder {
    version: Option<Version>,
    /// No newer version than this holds.
    offer: Version,
    expect: Expect,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            version: None,
            offer: Version::OWN,
            expect: Self::NEXT,
        }
    }
}

/// Moves bytes from the front of `input` to `store[*have..]` until it is full.
fn fill(store: &mut [u8], have: &mut usize, input: &mut &[u8]) -> bool {
    let len = (store.len() - *have).min(input.len());
    let (taken, rest) = input.split_at(len);
    store[*have..*have + len].copy_from_slice(taken);
    *have += len;
    *input = rest;
    *have == store.len()
}

impl Decoder {
    const NEXT: Expect = Expect::Header([0; HEADER_LEN], 0);

    /// A decoder before the first byte.
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder of somebody who offers `version` and not the newest that there is.
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

    /// The next piece from the front of `input`, which is shortened by what was used; `None` when
    /// it is used up.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, Violation> {
        loop {
            if input.is_empty() && !matches!(self.expect, Expect::Code(_, _, 0)) {
                return Ok(None);
            }
            match &mut self.expect {
                Expect::Header(bytes, have) => {
                    if !fill(bytes, have, input) {
                        return Ok(None);
                    }
                    let header = UntrustedHeader::read(*bytes);
                    self.expect = Self::NEXT;
                    if let Some(end) = self.begin(header)? {
                        return Ok(Some(Piece::End(end)));
                    }
                }
                Expect::Hello(bytes, have) => {
                    if !fill(bytes, have, input) {
                        return Ok(None);
                    }
                    let peer = u32::from_le_bytes(*bytes);
                    let version = Version::agree(self.offer, Version::V2, peer)?;
                    self.version = Some(version);
                    self.expect = Self::NEXT;
                    return Ok(Some(Piece::Agreed(version)));
                }
                Expect::Body(stream, left) => {
                    let (piece, rest) = input.split_at(input.len().min(*left));
                    let stream = *stream;
                    *input = rest;
                    *left -= piece.len();
                    if *left == 0 {
                        self.expect = Self::NEXT;
                    }
                    return Ok(Some(Piece::Bytes(stream, piece)));
                }
                Expect::Code(bytes, have, left) => {
                    let (taken, rest) = input.split_at(input.len().min(*left));
                    *left -= taken.len();
                    *input = rest;
                    fill(bytes, have, &mut &*taken);
                    if *left == 0 {
                        let whole = *have == 4;
                        let code = if whole {
                            i32::from_le_bytes(*bytes)
                        } else {
                            exit::MALFORMED
                        };
                        self.expect = Self::NEXT;
                        return Ok(Some(Piece::ExitCode(code)));
                    }
                }
            }
        }
    }

    fn begin(&mut self, header: UntrustedHeader) -> Result<Option<Stream>, Violation> {
        let UntrustedHeader { kind: number, len } = header;
        let unexpected = Violation::UnexpectedKind(number);
        let kind = Kind::from_number(number).ok_or(unexpected.clone())?;
        let length = usize::try_from(len).unwrap_or(usize::MAX);
        let too_long = Violation::BadLength { kind: number, len };
        let Some(version) = self.version else {
            self.expect = match (kind, len) {
                (Kind::Hello, 4) => Expect::Hello([0; 4], 0),
                (Kind::Hello, _) => return Err(too_long),
                _ => return Err(unexpected),
            };
            return Ok(None);
        };
        if length > body_max(version) {
            return Err(too_long);
        }
        let stream = match kind {
            Kind::DataStdin => Stream::Stdin,
            Kind::DataStdout => Stream::Stdout,
            Kind::DataStderr => Stream::Stderr,
            Kind::DataExitCode => {
                self.expect = Expect::Code([0; 4], 0, length);
                return Ok(None);
            }
            _ => return Err(unexpected),
        };
        if length == 0 {
            return Ok(Some(stream));
        }
        self.expect = Expect::Body(stream, length);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::hello;

    fn decode(bytes: &[u8], piece: usize) -> Result<Vec<(u32, Vec<u8>)>, Violation> {
        let mut decoder = Decoder::new();
        let mut seen: Vec<(u32, Vec<u8>)> = Vec::new();
        for mut part in bytes.chunks(piece.max(1)) {
            while let Some(piece) = decoder.next(&mut part)? {
                match piece {
                    Piece::Agreed(version) => seen.push((version.number(), vec![])),
                    Piece::End(stream) => seen.push((stream.kind() as u32, vec![])),
                    Piece::ExitCode(code) => seen.push((0x193, code.to_le_bytes().to_vec())),
                    Piece::Bytes(stream, bytes) => match seen.last_mut() {
                        Some((kind, sum)) if *kind == stream.kind() as u32 && !sum.is_empty() => {
                            sum.extend(bytes)
                        }
                        _ => seen.push((stream.kind() as u32, bytes.to_vec())),
                    },
                }
            }
        }
        Ok(seen)
    }

    #[test]
    fn an_exit_code_that_is_too_short_counts_as_255() {
        let bytes = [hello(Version::V4), frame(Kind::DataExitCode, &[b"ab"])].concat();
        assert_eq!(
            decode(&bytes, 3).unwrap()[1],
            (0x193, 255i32.to_le_bytes().to_vec())
        );
        let empty = [hello(Version::V4), frame(Kind::DataExitCode, &[])].concat();
        assert_eq!(
            decode(&empty, 100).unwrap()[1],
            (0x193, 255i32.to_le_bytes().to_vec())
        );
    }

    #[test]
    fn bodies_end_at_the_limit_of_the_agreed_version() {
        for (version, max) in [
            (Version::V2, 4096),
            (Version::V3, 65536),
            (Version::V4, 65536),
        ] {
            let with = |len| [&hello(version)[..], &Stream::Stdin.header(len)].concat();
            assert!(decode(&with(max), 64).is_ok());
            let error = Violation::BadLength {
                kind: 0x190,
                len: max as u32 + 1,
            };
            assert_eq!(decode(&with(max + 1), 64), Err(error));
        }
    }

    #[test]
    fn a_call_begins_with_hello() {
        assert_eq!(
            decode(&Stream::Stdin.end(), 8),
            Err(Violation::UnexpectedKind(0x190))
        );
    }

    proptest! {
        #[test]
        fn streams_come_out_as_they_went_in(
            bodies in prop::collection::vec((0usize..3, prop::collection::vec(any::<u8>(), 0..50)), 0..10),
            code: i32, piece in 1usize..30,
        ) {
            let streams = [Stream::Stdin, Stream::Stdout, Stream::Stderr];
            let mut bytes = hello(Version::V4);
            let mut expected: Vec<(u32, Vec<u8>)> = vec![(4, vec![])];
            for (which, body) in &bodies {
                let stream = streams[*which];
                bytes.extend(stream.header(body.len()));
                bytes.extend(body);
                match expected.last_mut() {
                    Some((kind, sum)) if *kind == stream.kind() as u32 && !sum.is_empty() && !body.is_empty() => sum.extend(body),
                    _ => expected.push((stream.kind() as u32, body.clone())),
                }
            }
            bytes.extend(exit_code(code));
            expected.push((0x193, code.to_le_bytes().to_vec()));
            prop_assert_eq!(decode(&bytes, piece).unwrap(), expected);
        }

        #[test]
        fn no_bytes_make_the_decoder_fall_over(bytes: Vec<u8>, piece in 1usize..9) {
            let _ = decode(&bytes, piece);
            let _ = decode(&[hello(Version::V2), bytes].concat(), piece);
        }
    }
}
