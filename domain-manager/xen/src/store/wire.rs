// SPDX-License-Identifier: MIT OR Apache-2.0
//! The wire protocol of xenstore (`xen/include/public/io/xs_wire.h`), without I/O.
//!
//! A message is a header of four little-endian words (kind, request, transaction, length)
//! and at most 4096 bytes. Answers carry their request's kind and number, or the kind
//! [`ERROR`] and an error's name; events come in between with the kind [`WATCH_EVENT`].

/// The names of a node's children.
pub const DIRECTORY: u32 = 1;
/// The value of a node.
pub const READ: u32 = 2;
/// The permissions of a node.
pub const GET_PERMS: u32 = 3;
/// Set a watch: path, token.
pub const WATCH: u32 = 4;
/// Take a watch back: path, token.
pub const UNWATCH: u32 = 5;
/// Begin a transaction.
pub const TRANSACTION_START: u32 = 6;
/// End a transaction: `T` or `F`.
pub const TRANSACTION_END: u32 = 7;
/// Set a node's value: path, NUL, the value.
pub const WRITE: u32 = 11;
/// Make a node.
pub const MKDIR: u32 = 12;
/// Remove a node and all below it.
pub const RM: u32 = 13;
/// Set a node's permissions: path, then one text each.
pub const SET_PERMS: u32 = 14;
/// Something changed: path, token.
pub const WATCH_EVENT: u32 = 15;
/// The answer to a request that was refused: an error's name.
pub const ERROR: u32 = 16;
/// Whether a domain is known to the store; only dom0 may ask.
pub const IS_DOMAIN_INTRODUCED: u32 = 17;
/// A part of the names of a node's children: path, offset; the answer begins with the
/// node's generation, and the last part ends with an empty name.
pub const DIRECTORY_PART: u32 = 22;

/// The most bytes after a header (`XENSTORE_PAYLOAD_MAX`).
pub const PAYLOAD_MAX: usize = 4096;
/// The size of a header.
pub const HEADER: usize = 16;

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: u32,
    /// The number of the request it belongs to.
    pub request: u32,
    /// The transaction it belongs to, or 0.
    pub transaction: u32,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// A message that announces more bytes than the protocol allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Message {
    /// The bytes to send.
    pub fn encode(&self) -> Result<Vec<u8>, TooLong> {
        if self.payload.len() > PAYLOAD_MAX {
            return Err(TooLong);
        }
        let mut bytes = Vec::with_capacity(HEADER + self.payload.len());
        for word in [
            self.kind,
            self.request,
            self.transaction,
            self.payload.len() as u32,
        ] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(&self.payload);
        Ok(bytes)
    }

    /// The payload as NUL-ended texts; `None` if it is not that.
    pub fn texts(&self) -> Option<Vec<&str>> {
        texts(&self.payload)
    }
}

/// Splits NUL-ended texts.
pub fn texts(payload: &[u8]) -> Option<Vec<&str>> {
    if payload.is_empty() {
        return Some(Vec::new());
    }
    let text = std::str::from_utf8(payload).ok()?;
    Some(text.strip_suffix('\0')?.split('\0').collect())
}

/// Joins texts, each ended by NUL.
pub fn join(texts: &[&str]) -> Vec<u8> {
    texts
        .iter()
        .flat_map(|text| text.bytes().chain([0]))
        .collect()
}

/// Cuts a stream of bytes into messages.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Takes more bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend(bytes);
    }

    /// The next whole message, if there is one. After [`TooLong`] the stream is of no use.
    pub fn next_message(&mut self) -> Result<Option<Message>, TooLong> {
        let Some(header) = self.buffer.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let word =
            |i: usize| u32::from_le_bytes([header[i], header[i + 1], header[i + 2], header[i + 3]]);
        let (kind, request, transaction) = (word(0), word(4), word(8));
        let length = word(12) as usize;
        if length > PAYLOAD_MAX {
            return Err(TooLong);
        }
        let end = HEADER + length;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let payload = self.buffer[HEADER..end].to_vec();
        self.buffer.drain(..end);
        Ok(Some(Message {
            kind,
            request,
            transaction,
            payload,
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = Message> {
        (
            any::<u32>(),
            any::<u32>(),
            any::<u32>(),
            vec(any::<u8>(), 0..300),
        )
            .prop_map(|(kind, request, transaction, payload)| Message {
                kind,
                request,
                transaction,
                payload,
            })
    }

    proptest! {
        #[test]
        fn messages_survive_any_cut_of_the_stream(messages in vec(message(), 0..8), cuts in vec(1..50usize, 1..20)) {
            let bytes: Vec<u8> = messages.iter().flat_map(|m| m.encode().unwrap()).collect();
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            let mut rest = bytes.as_slice();
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at(rest.len().min(*cut));
                decoder.feed(now);
                while let Some(message) = decoder.next_message().unwrap() {
                    got.push(message);
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(got, messages);
        }

        #[test]
        fn no_bytes_break_the_decoder(bytes in vec(any::<u8>(), 0..200)) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes);
            while let Ok(Some(message)) = decoder.next_message() {
                let _ = message.texts();
            }
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_on_both_ways() {
        let mut message = Message {
            kind: READ,
            request: 1,
            transaction: 0,
            payload: vec![0; PAYLOAD_MAX],
        };
        let mut bytes = message.encode().unwrap();
        bytes[12..16].copy_from_slice(&(PAYLOAD_MAX as u32 + 1).to_le_bytes());
        let mut decoder = Decoder::default();
        decoder.feed(&bytes);
        assert_eq!(decoder.next_message(), Err(TooLong));
        message.payload.push(0);
        assert_eq!(message.encode(), Err(TooLong));
    }
}
