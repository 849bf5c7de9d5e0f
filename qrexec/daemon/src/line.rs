// SPDX-License-Identifier: GPL-3.0-or-later
//! What the confined process that reads the guest tells the daemon, and the way back.
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
//! To the agent go whole frames, as it will read them.
//!
//! The daemon does not trust the other end: a guest may have taken it over. It can ask for what its
//! guest may ask for, in the same checked words, and nothing else.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use qrexec_protocol::exec::Route;
use qrexec_protocol::limits::{IDENT_LEN, SERVICE_FIELD_MAX, TARGET_LEN};
use qrexec_protocol::trigger::{CallRequest, RequestId, UntrustedTrigger};
use qrexec_protocol::version::{TooOld, Version};

const HEADER: usize = 8;
const BODY_MAX: usize = 2 * TARGET_LEN + IDENT_LEN + SERVICE_FIELD_MAX;
/// How much is read at one time.
const READ: usize = 4096;

/// What the process that reads the guest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the process that reads the guest said what it never says: {0}")]
pub(crate) struct Nonsense(&'static str);

impl Word {
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

/// Why a line cannot be used any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    #[error("its process has ended")]
    Ended,
    #[error(transparent)]
    Nonsense(#[from] Nonsense),
    #[error("the line to its process failed: {0}")]
    System(#[from] io::Error),
}

/// One end of the line. Nothing blocks: what the other side does not take waits.
#[derive(Debug)]
pub(crate) struct Line {
    stream: UnixStream,
    incoming: Vec<u8>,
    /// What of it has been taken.
    taken: usize,
    outgoing: VecDeque<u8>,
}

impl Line {
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            incoming: Vec::new(),
            taken: 0,
            outgoing: VecDeque::new(),
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Bytes that wait until the other side reads.
    pub fn queued(&self) -> usize {
        self.outgoing.len()
    }

    pub fn queue(&mut self, bytes: &[u8]) {
        self.outgoing.extend(bytes);
    }

    /// Sends as much as the other side takes now.
    pub fn flush(&mut self) -> Result<(), LineError> {
        while !self.outgoing.is_empty() {
            let (front, _) = self.outgoing.as_slices();
            match self.stream.write(front) {
                Ok(len) => drop(self.outgoing.drain(..len)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It is over when everything that was said has been read.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.outgoing.clear(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Says nothing more.
    pub fn close(&self) {
        // It may have gone already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// What came, as it is; `None` when nothing is there now.
    pub fn read(&mut self) -> Result<Option<Vec<u8>>, LineError> {
        let mut bytes = [0; READ];
        loop {
            return match self.stream.read(&mut bytes) {
                Ok(0) => Err(LineError::Ended),
                Ok(len) => Ok(Some(bytes[..len].to_vec())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(LineError::Ended),
                Err(error) => Err(error.into()),
            };
        }
    }

    /// The next word, or `None` when there is none now.
    pub fn receive(&mut self) -> Result<Option<Word>, LineError> {
        loop {
            if let Some(word) = self.next()? {
                return Ok(Some(word));
            }
            match self.read()? {
                Some(bytes) => self.incoming.extend(bytes),
                None => return Ok(None),
            }
        }
    }

    fn next(&mut self) -> Result<Option<Word>, Nonsense> {
        let waiting = &self.incoming[self.taken..];
        if let Some(([kind, len], rest)) = header(waiting) {
            let len = len as usize;
            if len > BODY_MAX {
                return Err(Nonsense("a long word"));
            }
            if let Some(body) = rest.get(..len) {
                let word = Word::decode(kind, body)?;
                self.taken += HEADER + len;
                return Ok(Some(word));
            }
        }
        self.incoming.drain(..self.taken);
        self.taken = 0;
        Ok(None)
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

    fn lines() -> (Line, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Line::new(ours).unwrap(), theirs)
    }

    fn words() -> Vec<Word> {
        let route = Route {
            domain: DomId::new(7).unwrap(),
            port: Port(513),
        };
        let request = CallRequest {
            source: String::new(),
            target: "@dispvm:template".into(),
            service: Service::parse("test.Open+an argument")
                .unwrap_or_else(|_| Service::parse("test.Open+argument").unwrap()),
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
            let (mut line, mut theirs) = lines();
            let mut heard = Vec::new();
            for part in bytes.chunks(piece) {
                theirs.write_all(part).unwrap();
                while let Some(word) = line.receive().unwrap() {
                    heard.push(word);
                }
            }
            assert_eq!(heard, words(), "in pieces of {piece}");
            drop(theirs);
            assert!(matches!(line.receive(), Err(LineError::Ended)));
        }
    }

    #[test]
    fn a_process_that_was_taken_over_is_not_believed() {
        let words = [
            (0, vec![]),
            (1, vec![0]),
            (2, 5u32.to_le_bytes().to_vec()),
            (2, 1u32.to_le_bytes().to_vec()),
            (3, vec![0xff; 8]),
            (4, vec![0; 10]),
            (4, vec![0; 2 * TARGET_LEN + IDENT_LEN]),
            (4, vec![0xff; 2 * TARGET_LEN + IDENT_LEN + 5]),
            (5, 4u32.to_le_bytes().to_vec()),
            (6, vec![]),
        ];
        for (kind, body) in words {
            assert!(Word::decode(kind, &body).is_err(), "{kind} {body:?}");
        }
        let (mut line, mut theirs) = lines();
        theirs.write_all(&[4, 0, 0, 0, 0, 0, 16, 0]).unwrap();
        let heard = line.receive();
        assert!(matches!(heard, Err(LineError::Nonsense(_))), "{heard:?}");
    }
}
