// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the confined process that reads a guest's agent tells its daemon. Ours alone: both ends are
//! one program.
//!
//! To the daemon go words of 8 bytes, kind and length, and a body:
//!
//! | kind | body | meaning |
//! |---|---|---|
//! | 1 | – | the agent's channel is open, and whoever reads it is confined |
//! | 2 | u32 | the agent has greeted; this version holds |
//! | 3 | domain u32, port u32 | a call's data channel is no longer in use |
//! | 4 | source 64, target 64, request id 32, service | the agent asks for a call |
//! | 5 | u32 or – | the session is over; the agent's version if it is too old |
//!
//! They come in this order: 1, then 2, then 3 and 4 as often as it may be; 5 may come at any time and
//! is the last. To the agent go whole frames, as it will read them.
//!
//! The daemon does not trust the other end: a guest may have taken it over. It can ask for what its
//! guest may ask for, in the same checked words, and nothing else.

use thiserror::Error;

use crate::exec::Route;
use crate::limits::{IDENT_LEN, SERVICE_FIELD_MAX, TARGET_LEN};
use crate::trigger::{CallRequest, RequestId, UntrustedTrigger};
use crate::version::{TooOld, Version};

const HEADER: usize = 8;
/// The longest body of a word.
pub const BODY_MAX: usize = 2 * TARGET_LEN + IDENT_LEN + SERVICE_FIELD_MAX;

/// What the process that reads the guest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The channel is open and its reader is confined.
    Met,
    /// The agent has greeted.
    Greeted(Version),
    /// A call's data channel is no longer in use.
    Terminated(Route),
    /// The agent asks for a call.
    Request(CallRequest),
    /// The session is over; the reason stands in the log.
    Over(Option<TooOld>),
}

/// It said what it never says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the process that reads the guest said what it never says: {0}")]
pub struct Nonsense(&'static str);

impl Word {
    /// The bytes of the word.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, body) = match self {
            Self::Met => (1u32, Vec::new()),
            Self::Greeted(version) => (2, version.number().to_le_bytes().to_vec()),
            Self::Terminated(route) => (3, route.encode().to_vec()),
            Self::Request(request) => (4, encode_request(request)),
            Self::Over(None) => (5, Vec::new()),
            Self::Over(Some(too_old)) => (5, too_old.peer.to_le_bytes().to_vec()),
        };
        // At most `BODY_MAX`.
        let len = body.len() as u32;
        [&kind.to_le_bytes()[..], &len.to_le_bytes(), &body].concat()
    }

    fn decode(kind: u32, body: &[u8]) -> Result<Self, Nonsense> {
        let number = || body.try_into().map(u32::from_le_bytes);
        match (kind, body.len()) {
            (1, 0) => Ok(Self::Met),
            (2, 4) => {
                let number = number().map_err(|_| Nonsense("no number"))?;
                let version = Version::agree(Version::OWN, Version::V2, number);
                let version = version.ok().filter(|version| version.number() == number);
                version.map(Self::Greeted).ok_or(Nonsense("no version"))
            }
            (3, 8) => Route::decode(body).map(Self::Terminated).map_err(Nonsense),
            (4, _) => decode_request(body).map(Self::Request),
            (5, 0) => Ok(Self::Over(None)),
            (5, 4) => {
                let number = number().map_err(|_| Nonsense("no number"))?;
                let too_old = Version::agree(Version::OWN, Version::V2, number).err();
                too_old
                    .map(|too_old| Self::Over(Some(too_old)))
                    .ok_or(Nonsense("that is not too old"))
            }
            _ => Err(Nonsense("no such word")),
        }
    }
}

fn encode_request(request: &CallRequest) -> Vec<u8> {
    let mut body = vec![0; 2 * TARGET_LEN];
    // What was checked is shorter than its field.
    let put = |field: &mut [u8], text: &str| {
        let len = text.len().min(field.len());
        field[..len].copy_from_slice(&text.as_bytes()[..len]);
    };
    put(&mut body[..TARGET_LEN], &request.source);
    put(&mut body[TARGET_LEN..], &request.target);
    body.extend(request.ident.field());
    body.extend(request.service.to_string().into_bytes());
    body
}

fn decode_request(body: &[u8]) -> Result<CallRequest, Nonsense> {
    let mut rest = body;
    let mut take = |len| rest.split_off(..len).ok_or(Nonsense("a short request"));
    let source = text(take(TARGET_LEN)?)?;
    let target = text(take(TARGET_LEN)?)?;
    let ident = RequestId::parse(take(IDENT_LEN)?).ok_or(Nonsense("no request id"))?;
    let service = std::str::from_utf8(rest).map_err(|_| Nonsense("no text"))?;
    // Once more, since whoever checked it may have been taken over.
    let trigger = UntrustedTrigger::new(source, target, &ident, service);
    trigger.check().map_err(|bad| Nonsense(bad.what))
}

fn text(field: &[u8]) -> Result<&str, Nonsense> {
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default();
    std::str::from_utf8(text).map_err(|_| Nonsense("no text"))
}

/// Words out of bytes that come in any pieces.
#[derive(Debug, Default)]
pub struct Words {
    bytes: Vec<u8>,
    /// How many of them have been taken.
    taken: usize,
}

impl Words {
    /// Bytes that have come. Whoever takes all words each time before it pushes holds no more than one
    /// unfinished word and what it pushed last.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend(bytes);
    }

    /// The next word, or `None` when more bytes have to come first. After nonsense nothing else comes.
    #[allow(clippy::should_implement_trait, reason = "more may come after `None`")]
    pub fn next(&mut self) -> Result<Option<Word>, Nonsense> {
        let waiting = self.bytes.get(self.taken..).unwrap_or_default();
        let Some(([kind, len], rest)) = header(waiting) else {
            return Ok(None);
        };
        let len = len as usize;
        if len > BODY_MAX {
            return Err(Nonsense("a long word"));
        }
        let Some(body) = rest.get(..len) else {
            return Ok(None);
        };
        let word = Word::decode(kind, body)?;
        self.taken += HEADER + len;
        Ok(Some(word))
    }

    /// Bytes that are no whole word yet.
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.taken
    }
}

fn header(bytes: &[u8]) -> Option<([u32; 2], &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let (words, _) = header.as_chunks();
    Some(([0, 1].map(|n| u32::from_le_bytes(words[n])), rest))
}

#[cfg(test)]
mod tests {
    use bulkhead_types::{DomId, Port, Service};

    use super::*;

    fn words() -> Vec<Word> {
        let route = Route {
            domain: DomId::new(7).unwrap(),
            port: Port(513),
        };
        let request = CallRequest {
            source: String::new(),
            target: "@dispvm:template".into(),
            service: Service::parse("test.Open+argument").unwrap(),
            ident: RequestId::numbered(3),
        };
        let too_old = Version::agree(Version::OWN, Version::V2, 1).unwrap_err();
        vec![
            Word::Met,
            Word::Greeted(Version::V3),
            Word::Terminated(route),
            Word::Request(request),
            Word::Over(None),
            Word::Over(Some(too_old)),
        ]
    }

    #[test]
    fn what_one_process_says_the_other_hears_however_it_is_cut() {
        let bytes: Vec<u8> = words().iter().flat_map(Word::encode).collect();
        for piece in [1, 7, bytes.len()] {
            let mut incoming = Words::default();
            let mut heard = Vec::new();
            for part in bytes.chunks(piece) {
                incoming.push(part);
                while let Some(word) = incoming.next().unwrap() {
                    heard.push(word);
                }
            }
            assert_eq!(heard, words(), "in pieces of {piece}");
            assert_eq!(incoming.pending(), 0);
        }
    }

    #[test]
    fn a_process_that_was_taken_over_is_not_believed() {
        let words = [
            (0, vec![]),
            (1, vec![0]),
            (2, vec![]),
            (2, 5u32.to_le_bytes().to_vec()),
            (2, 1u32.to_le_bytes().to_vec()),
            (3, vec![0xff; 8]),
            (3, vec![0; 7]),
            (4, vec![]),
            (4, vec![0; 10]),
            (4, vec![0; 2 * TARGET_LEN + IDENT_LEN]),
            (4, vec![0xff; 2 * TARGET_LEN + IDENT_LEN + 5]),
            (5, 4u32.to_le_bytes().to_vec()),
            (5, vec![0; 5]),
            (6, vec![]),
            (u32::MAX, vec![]),
        ];
        for (kind, body) in words {
            assert!(Word::decode(kind, &body).is_err(), "{kind} {body:?}");
        }
        // A length is judged before the body has come.
        let mut incoming = Words::default();
        let long = BODY_MAX as u32 + 1;
        incoming.push(&[&4u32.to_le_bytes()[..], &long.to_le_bytes()].concat());
        assert_eq!(incoming.next(), Err(Nonsense("a long word")));
        assert_eq!(incoming.next(), Err(Nonsense("a long word")));
    }
}
