// SPDX-License-Identifier: GPL-3.0-or-later
//! qrexec: each direction of each link.

use qrexec_protocol::agent_link::{self, ToDaemon};
use qrexec_protocol::agent_socket;
use qrexec_protocol::caller::CallerEnd;
use qrexec_protocol::client_link;
use qrexec_protocol::command::CommandLine;
use qrexec_protocol::data::{Decoder, Piece};
use qrexec_protocol::frame::{Incoming, Receiver, Role};
use qrexec_protocol::limits::HEADER_LEN;
use qrexec_protocol::service::{ServiceEnd, Shape};
use qrexec_protocol::service_config::ServiceConfig;
use qrexec_protocol::session_link::{BODY_MAX, Word, Words};
use qrexec_protocol::trigger::CallRequest;

use crate::pieces;

/// No frame is larger than this, whatever its kind.
const FRAME_MAX: usize = HEADER_LEN + 70_000;

/// Feeds a receiver, and says what came out.
fn receive<R: Role>(data: &[u8], mut take: impl FnMut(R::Message)) {
    let mut receiver = Receiver::<R>::new();
    for piece in pieces(data) {
        receiver.push(piece);
        loop {
            match receiver.next() {
                Ok(Some(Incoming::Message(message))) => take(message),
                Ok(Some(Incoming::Agreed(_))) => {}
                Ok(None) => break,
                Err(violation) => {
                    assert_eq!(
                        receiver.next().err(),
                        Some(violation),
                        "broken stays broken"
                    );
                    return;
                }
            }
        }
        assert!(receiver.pending() <= FRAME_MAX);
    }
}

/// A guest against its daemon in dom0: what gets through is clean.
pub fn daemon_from_agent(data: &[u8]) {
    receive::<agent_link::FromAgent>(data, |message| {
        if let ToDaemon::Trigger(trigger) = message {
            assert!(!trigger.shown_service().contains(char::is_control));
            if let Ok(request) = trigger.check() {
                is_clean(&request);
            }
        }
    });
}

fn is_clean(request: &CallRequest) {
    for text in [&request.source, &request.target] {
        let clean = |c: char| c.is_ascii_alphanumeric() || "_-.@:".contains(c);
        assert!(text.len() < 64 && text.chars().all(clean), "{text:?}");
    }
    let service = request.service.to_string();
    assert!(service.chars().all(|c| c.is_ascii_graphic()), "{service:?}");
}

/// The process that reads a guest, taken over by it, against its daemon: what gets through is as clean
/// as from a process that was not, and no more is held than one word.
pub fn session(data: &[u8]) {
    let mut words = Words::default();
    for piece in pieces(data) {
        words.push(piece);
        loop {
            match words.next() {
                Ok(Some(word)) => {
                    if let Word::Request(request) = &word {
                        is_clean(request);
                    }
                    let mut again = Words::default();
                    again.push(&word.encode());
                    assert_eq!(again.next(), Ok(Some(word)));
                    assert_eq!(again.pending(), 0);
                }
                Ok(None) => break,
                Err(nonsense) => {
                    assert_eq!(words.next(), Err(nonsense), "broken stays broken");
                    return;
                }
            }
        }
        assert!(words.pending() <= HEADER_LEN + BODY_MAX);
    }
}

/// Dom0 against an agent.
pub fn agent_from_daemon(data: &[u8]) {
    receive::<agent_link::FromDaemon>(data, drop);
}

/// A process in a guest against the agent.
pub fn agent_from_caller(data: &[u8]) {
    receive::<agent_socket::FromCaller>(data, drop);
}

/// A program in dom0 against a daemon, and the reverse.
pub fn daemon_from_client(data: &[u8]) {
    receive::<client_link::FromClient>(data, drop);
    receive::<client_link::FromDaemon>(data, drop);
}

/// The two ends of a call against the same bytes, cut in two ways that must not differ.
pub fn data(data: &[u8]) {
    let whole = decoded(std::iter::once(data.get(1..).unwrap_or_default()));
    let cut = decoded(pieces(data));
    assert_eq!(whole, cut);
    for shape in [Shape::Program, Shape::Detached, Shape::Failed] {
        let mut service = ServiceEnd::new(shape);
        let mut caller = CallerEnd::new();
        let mut decoder = Decoder::new();
        let mut input = data;
        while let Ok(Some(piece)) = decoder.next(&mut input) {
            let _ = service.from_caller(piece);
            let _ = caller.from_service(piece);
        }
        // Each end has a bounded number of frames of its own to send.
        assert!(std::iter::from_fn(|| service.next_frame()).take(10).count() < 10);
        assert!(std::iter::from_fn(|| caller.next_frame()).take(10).count() < 10);
    }
}

/// Everything a decoder makes of bytes that come in pieces, streams joined.
fn decoded<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, bool) {
    let mut decoder = Decoder::new();
    let mut found: Vec<String> = Vec::new();
    let mut joined: Option<(String, usize)> = None;
    let flush = |joined: &mut Option<(String, usize)>, found: &mut Vec<String>| {
        found.extend(
            joined
                .take()
                .map(|(stream, bytes)| format!("{stream} {bytes}")),
        );
    };
    for mut piece in pieces {
        loop {
            match decoder.next(&mut piece) {
                Ok(None) => break,
                Ok(Some(Piece::Bytes(stream, bytes))) => {
                    assert!(!bytes.is_empty());
                    let stream = format!("{stream:?}");
                    if joined.as_ref().is_some_and(|(open, _)| *open != stream) {
                        flush(&mut joined, &mut found);
                    }
                    joined.get_or_insert((stream, 0)).1 += bytes.len();
                }
                Ok(Some(other)) => {
                    flush(&mut joined, &mut found);
                    found.push(format!("{other:?}"));
                }
                Err(_) => {
                    flush(&mut joined, &mut found);
                    return (found, true);
                }
            }
        }
    }
    flush(&mut joined, &mut found);
    (found, false)
}

/// The texts that say what to run: a command line, a service's configuration, the words of
/// a command in an argument.
pub fn command(data: &[u8]) {
    let _ = CommandLine::parse(data);
    let _ = ServiceConfig::parse(data);
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(words) = bulkhead_files::command_word::decode(text)
    {
        let again = bulkhead_files::command_word::encode(&words);
        assert_eq!(bulkhead_files::command_word::decode(&again), Ok(words));
    }
}
