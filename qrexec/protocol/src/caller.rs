// SPDX-License-Identifier: MIT OR Apache-2.0
//! The caller's end of a call.
//!
//! - Local input goes out as `STDIN`, ended by an empty body.
//! - When the exit code is in, local input is no longer read; one end of `STDIN` goes out if none
//!   did before, what is still to be written locally is written, and the call is over.
//! - When sending fails before that, the caller stops sending but goes on reading what is queued,
//!   so that the exit code of a service that failed fast is not lost.
//! - `STDIN` from a service counts as its output (old peers do that).
//! - Of a code only the low byte reaches whoever waits for the caller: one that would become 0 there and is not
//!   counts as malformed.
//! - A peer that goes away without an exit code has not answered: that is a failure of the call.

use crate::data::{Piece, Stream};
use crate::exit;

/// What is to be done with a piece from the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToCaller<'a> {
    /// Write these bytes to local output or errors.
    Write(Stream, &'a [u8]),
    /// Close the local output or errors, after what is still to be written.
    End(Stream),
    /// Nothing.
    Nothing,
}

/// The state of the caller's end.
#[derive(Clone, Debug)]
pub struct CallerEnd {
    input: Input,
    sending: bool,
    output_open: bool,
    errors_open: bool,
    code: Option<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Open,
    Ended,
    EndSent,
}

impl Default for CallerEnd {
    fn default() -> Self {
        Self {
            input: Input::Open,
            sending: true,
            output_open: true,
            errors_open: true,
            code: None,
        }
    }
}

impl CallerEnd {
    /// The end of a call that begins.
    pub fn new() -> Self {
        Self::default()
    }

    /// Judges a piece from the service.
    pub fn from_service<'a>(&mut self, piece: Piece<'a>) -> ToCaller<'a> {
        if self.code.is_some() {
            return ToCaller::Nothing;
        }
        match piece {
            Piece::Bytes(Stream::Stderr, bytes) if self.errors_open => {
                ToCaller::Write(Stream::Stderr, bytes)
            }
            Piece::Bytes(Stream::Stdin | Stream::Stdout, bytes) if self.output_open => {
                ToCaller::Write(Stream::Stdout, bytes)
            }
            Piece::End(Stream::Stderr) if self.errors_open => {
                self.errors_open = false;
                ToCaller::End(Stream::Stderr)
            }
            Piece::End(Stream::Stdin | Stream::Stdout) if self.output_open => {
                self.output_open = false;
                ToCaller::End(Stream::Stdout)
            }
            Piece::ExitCode(code) => {
                self.code = Some(exit::of_peer(code));
                self.input_ended();
                ToCaller::Nothing
            }
            _ => ToCaller::Nothing,
        }
    }

    /// Whether local input is to be read.
    pub fn reads_input(&self) -> bool {
        self.input == Input::Open && self.sending
    }

    /// Local input has ended.
    pub fn input_ended(&mut self) {
        if self.input == Input::Open {
            self.input = Input::Ended;
        }
    }

    /// Local output or errors cannot be written any more: what comes for them is thrown away.
    pub fn output_broken(&mut self, stream: Stream) {
        match stream {
            Stream::Stdout => self.output_open = false,
            Stream::Stderr => self.errors_open = false,
            Stream::Stdin => {}
        }
    }

    /// Whether anything can still be sent.
    pub fn sends(&self) -> bool {
        self.sending
    }

    /// Writing to the vchan failed.
    pub fn sending_failed(&mut self) {
        self.sending = false;
    }

    /// The next frame to send after the bytes that were read so far, if one is due.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        if self.input != Input::Ended || !self.sending {
            return None;
        }
        self.input = Input::EndSent;
        Some(Stream::Stdin.end())
    }

    /// The exit code, once it is in: nothing more is to be read from the vchan.
    pub fn code(&self) -> Option<i32> {
        self.code
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_exit_code_ends_the_input_and_everything_after_it_is_ignored() {
        let mut end = CallerEnd::new();
        assert!(end.reads_input());
        assert_eq!(end.from_service(Piece::ExitCode(4)), ToCaller::Nothing);
        assert!(!end.reads_input());
        assert_eq!(end.next_frame(), Some(Stream::Stdin.end()));
        assert_eq!(end.next_frame(), None);
        assert_eq!(
            end.from_service(Piece::Bytes(Stream::Stdout, b"late")),
            ToCaller::Nothing
        );
        assert_eq!(end.from_service(Piece::ExitCode(5)), ToCaller::Nothing);
        assert_eq!(end.code(), Some(4));
    }

    #[test]
    fn no_failure_looks_like_success_when_its_low_byte_is_taken() {
        let seen = |code| {
            let mut end = CallerEnd::new();
            end.from_service(Piece::ExitCode(code));
            end.code()
        };
        for code in [0, 1, 255, 257, -1] {
            assert_eq!(seen(code), Some(code));
        }
        for code in [256, 512, -256, i32::MIN] {
            assert_eq!(seen(code), Some(exit::MALFORMED), "{code}");
        }
    }

    #[test]
    fn a_caller_that_cannot_send_still_hears_the_exit_code() {
        let mut end = CallerEnd::new();
        end.sending_failed();
        assert!(!end.reads_input());
        assert_eq!(
            end.from_service(Piece::Bytes(Stream::Stderr, b"why")),
            ToCaller::Write(Stream::Stderr, b"why")
        );
        end.from_service(Piece::ExitCode(1));
        assert_eq!((end.next_frame(), end.code()), (None, Some(1)));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Bytes(Stream),
        End(Stream),
        Code(i32),
        InputEnds,
        Broken(Stream),
        SendFails,
        Send,
    }

    fn op() -> impl Strategy<Value = Op> {
        let stream = || prop::sample::select(vec![Stream::Stdin, Stream::Stdout, Stream::Stderr]);
        prop_oneof![
            stream().prop_map(Op::Bytes),
            stream().prop_map(Op::End),
            any::<i32>().prop_map(Op::Code),
            Just(Op::InputEnds),
            stream().prop_map(Op::Broken),
            Just(Op::SendFails),
            Just(Op::Send),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_input_ends_once_and_nothing_follows_the_end_of_a_stream(
            ops in prop::collection::vec(op(), 0..40),
        ) {
            let mut end = CallerEnd::new();
            let mut closed = Vec::new();
            let mut sent = 0;
            let mut first = None;
            for op in ops {
                match op {
                    Op::Bytes(stream) => if let ToCaller::Write(to, _) = end.from_service(Piece::Bytes(stream, b"x")) {
                        prop_assert!(!closed.contains(&to) && first.is_none());
                    },
                    Op::End(stream) => if let ToCaller::End(to) = end.from_service(Piece::End(stream)) {
                        prop_assert!(!closed.contains(&to));
                        closed.push(to);
                    },
                    Op::Code(code) => { end.from_service(Piece::ExitCode(code)); first.get_or_insert(exit::of_peer(code)); }
                    Op::InputEnds => { end.input_ended(); prop_assert!(!end.reads_input()); }
                    Op::Broken(stream) => { end.output_broken(stream); closed.push(stream); }
                    Op::SendFails => end.sending_failed(),
                    Op::Send => sent += usize::from(end.next_frame().is_some()),
                }
                prop_assert_eq!(end.code(), first);
                prop_assert!(sent <= 1);
                prop_assert!(!(end.reads_input() && (sent > 0 || first.is_some())));
            }
        }
    }
}
