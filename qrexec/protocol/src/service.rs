// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service's end of a call.
//!
//! Rules, as a caller may rely on them:
//!
//! - Output goes out as `STDOUT`, errors as `STDERR`; both are ended by an empty body before the
//!   exit code, in any order. A service without an error stream ends it at once, first.
//! - The exit code goes out when the process has been reaped *and* its streams have ended; nobody
//!   waits for the end of the caller's input. Nothing follows the exit code.
//! - A service that could not be started answers with two empty streams and the reason's code; in
//!   that case the output ends first.
//! - When the process has been reaped, its input is closed, for whatever it left behind.
//! - A detached command (`JUST_EXEC`) answers with an exit code alone.
//! - When the service stops reading, further input is thrown away, but the vchan is still read.
//! - `STDOUT` from a caller counts as input (old peers do that); `STDERR` and exit codes from a
//!   caller are dropped.

use crate::data::{Piece, Stream, exit_code};

/// What stands behind the service's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A program with input, output and error stream that ends with an exit code.
    Program,
    /// A program whose errors stay where it runs, as for services in dom0.
    ProgramWithoutErrors,
    /// A socket: no error stream, and its exit code is 0. The call ends when both directions have
    /// ended, or earlier as told by the service's configuration.
    Socket {
        /// The end of the caller's input ends the call.
        until_client_eof: bool,
        /// The end of the service's output ends the call.
        until_service_eof: bool,
    },
    /// Nothing: only an exit code is sent.
    Detached,
    /// The service could not be started, where it would have had an error stream. Elsewhere it is a
    /// [`Self::ProgramWithoutErrors`] that has ended.
    Failed,
}

/// What is to be done with a piece from the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToService<'a> {
    /// Write these bytes to the service's input.
    Write(&'a [u8]),
    /// No more input: close or shut down the writing side, after what is still to be written.
    End,
    /// Nothing.
    Nothing,
}

/// The state of the service's end.
#[derive(Clone, Debug)]
pub struct ServiceEnd {
    shape: Shape,
    input_open: bool,
    output: Output,
    errors: Output,
    code: Option<i32>,
    code_sent: bool,
    misdirected: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Open,
    Ended,
    EndSent,
}

impl ServiceEnd {
    /// The end for a service of this shape.
    pub fn new(shape: Shape) -> Self {
        let errors = match shape {
            Shape::Program => Output::Open,
            Shape::Detached => Output::EndSent,
            _ => Output::Ended,
        };
        let output = match shape {
            Shape::Detached => Output::EndSent,
            Shape::Failed => Output::Ended,
            _ => Output::Open,
        };
        let input_open = !matches!(shape, Shape::Detached | Shape::Failed);
        let code = matches!(shape, Shape::Socket { .. }).then_some(0);
        Self {
            shape,
            input_open,
            output,
            errors,
            code,
            code_sent: false,
            misdirected: false,
        }
    }

    /// Judges a piece from the caller.
    pub fn from_caller<'a>(&mut self, piece: Piece<'a>) -> ToService<'a> {
        match piece {
            Piece::Bytes(Stream::Stdin | Stream::Stdout, bytes) if self.input_open => {
                ToService::Write(bytes)
            }
            Piece::End(Stream::Stdin | Stream::Stdout) if self.input_open => {
                self.input_open = false;
                if let Shape::Socket {
                    until_client_eof: true,
                    ..
                } = self.shape
                {
                    self.end_output(Stream::Stdout);
                }
                ToService::End
            }
            Piece::Bytes(Stream::Stderr, _) | Piece::End(Stream::Stderr) | Piece::ExitCode(_) => {
                self.misdirected = true;
                ToService::Nothing
            }
            _ => ToService::Nothing,
        }
    }

    /// Whether the caller has sent what only a service sends; worth one line in a log.
    pub fn misdirected(&self) -> bool {
        self.misdirected
    }

    /// Whether input is still wanted.
    pub fn input_open(&self) -> bool {
        self.input_open
    }

    /// The service no longer reads: a write failed, or its end is gone.
    pub fn input_broken(&mut self) {
        self.input_open = false;
    }

    /// Whether the stream is still to be read from the service.
    pub fn reads(&self, stream: Stream) -> bool {
        match stream {
            Stream::Stdout => self.output == Output::Open,
            Stream::Stderr => self.errors == Output::Open,
            Stream::Stdin => false,
        }
    }

    /// The service has ended the stream.
    pub fn end_output(&mut self, stream: Stream) {
        let output = match stream {
            Stream::Stdout => &mut self.output,
            Stream::Stderr => &mut self.errors,
            Stream::Stdin => return,
        };
        if *output == Output::Open {
            *output = Output::Ended;
        }
    }

    /// The process was reaped with this code, or could not be started for this reason.
    pub fn process_ended(&mut self, code: i32) {
        self.code.get_or_insert(code);
    }

    /// The next frame to send after the bytes that were read so far, if one is due.
    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        let output_first = self.shape == Shape::Failed;
        if self.errors == Output::Ended && !(output_first && self.output == Output::Ended) {
            self.errors = Output::EndSent;
            return Some(Stream::Stderr.end());
        }
        if self.output == Output::Ended {
            self.output = Output::EndSent;
            return Some(Stream::Stdout.end());
        }
        let streams_ended = self.output == Output::EndSent && self.errors == Output::EndSent;
        let waits_for_input = match self.shape {
            Shape::Socket {
                until_client_eof,
                until_service_eof,
            } => self.input_open && !until_client_eof && !until_service_eof,
            _ => false,
        };
        match self.code {
            Some(code) if streams_ended && !waits_for_input && !self.code_sent => {
                self.code_sent = true;
                self.input_open = false;
                Some(exit_code(code))
            }
            _ => None,
        }
    }

    /// The exit code, once it has gone out: the vchan may be closed when it is flushed.
    pub fn finished(&self) -> Option<i32> {
        self.code.filter(|_| self.code_sent)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(end: &mut ServiceEnd) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| end.next_frame()).collect()
    }

    #[test]
    fn a_service_without_errors_says_so_first() {
        let mut end = ServiceEnd::new(Shape::ProgramWithoutErrors);
        assert_eq!(frames(&mut end), [Stream::Stderr.end()]);
        end.process_ended(3);
        assert!(frames(&mut end).is_empty(), "output may still come");
        end.end_output(Stream::Stdout);
        assert_eq!(frames(&mut end), [Stream::Stdout.end(), exit_code(3)]);
        assert!(end.finished().is_some());
    }

    #[test]
    fn a_service_that_cannot_start_still_ends_its_streams() {
        let mut end = ServiceEnd::new(Shape::Failed);
        end.process_ended(127);
        let expected = [Stream::Stdout.end(), Stream::Stderr.end(), exit_code(127)];
        assert_eq!(frames(&mut end), expected);
        let mut end = ServiceEnd::new(Shape::ProgramWithoutErrors);
        end.end_output(Stream::Stdout);
        end.process_ended(127);
        let expected = [Stream::Stderr.end(), Stream::Stdout.end(), exit_code(127)];
        assert_eq!(frames(&mut end), expected);
    }

    #[test]
    fn a_detached_command_sends_its_code_and_nothing_else() {
        let mut end = ServiceEnd::new(Shape::Detached);
        assert_eq!(
            end.from_caller(Piece::Bytes(Stream::Stdin, b"x")),
            ToService::Nothing
        );
        end.process_ended(0);
        assert_eq!(frames(&mut end), [exit_code(0)]);
    }

    #[test]
    fn a_socket_ends_when_both_directions_have() {
        let plain = Shape::Socket {
            until_client_eof: false,
            until_service_eof: false,
        };
        let mut end = ServiceEnd::new(plain);
        end.end_output(Stream::Stdout);
        assert_eq!(
            frames(&mut end),
            [Stream::Stderr.end(), Stream::Stdout.end()]
        );
        assert_eq!(end.from_caller(Piece::End(Stream::Stdin)), ToService::End);
        assert_eq!(frames(&mut end), [exit_code(0)]);
    }

    #[test]
    fn a_socket_may_end_with_either_direction() {
        let client = Shape::Socket {
            until_client_eof: true,
            until_service_eof: false,
        };
        let mut end = ServiceEnd::new(client);
        end.from_caller(Piece::End(Stream::Stdin));
        assert_eq!(frames(&mut end).last(), Some(&exit_code(0)));
        let service = Shape::Socket {
            until_client_eof: false,
            until_service_eof: true,
        };
        let mut end = ServiceEnd::new(service);
        end.end_output(Stream::Stdout);
        assert_eq!(frames(&mut end).last(), Some(&exit_code(0)));
    }

    #[test]
    fn errors_and_codes_sent_to_a_service_are_dropped() {
        let mut end = ServiceEnd::new(Shape::Program);
        assert_eq!(
            end.from_caller(Piece::Bytes(Stream::Stderr, b"x")),
            ToService::Nothing
        );
        assert_eq!(end.from_caller(Piece::ExitCode(1)), ToService::Nothing);
        assert!(end.misdirected());
        assert_eq!(
            end.from_caller(Piece::Bytes(Stream::Stdout, b"x")),
            ToService::Write(b"x")
        );
    }

    #[derive(Clone, Debug)]
    enum Op {
        Bytes(Stream),
        End(Stream),
        PeerCode,
        Broken,
        OutputEnds(Stream),
        Reaped(i32),
        Send,
    }

    fn op() -> impl Strategy<Value = Op> {
        let stream = || prop::sample::select(vec![Stream::Stdin, Stream::Stdout, Stream::Stderr]);
        prop_oneof![
            stream().prop_map(Op::Bytes),
            stream().prop_map(Op::End),
            Just(Op::PeerCode),
            Just(Op::Broken),
            stream().prop_map(Op::OutputEnds),
            any::<i32>().prop_map(Op::Reaped),
            Just(Op::Send),
        ]
    }

    fn shape() -> impl Strategy<Value = Shape> {
        prop_oneof![
            Just(Shape::Program),
            Just(Shape::ProgramWithoutErrors),
            Just(Shape::Detached),
            Just(Shape::Failed),
            (any::<bool>(), any::<bool>()).prop_map(|(until_client_eof, until_service_eof)| {
                Shape::Socket {
                    until_client_eof,
                    until_service_eof,
                }
            }),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_the_exit_code_comes_once_and_last(
            shape in shape(), ops in prop::collection::vec(op(), 0..40),
        ) {
            let mut end = ServiceEnd::new(shape);
            let mut sent = Vec::new();
            let mut input_ended = false;
            for op in ops {
                match op {
                    Op::Bytes(stream) => {
                        let to = end.from_caller(Piece::Bytes(stream, b"x"));
                        prop_assert!(!(input_ended && to != ToService::Nothing));
                    }
                    Op::End(stream) => {
                        let to = end.from_caller(Piece::End(stream));
                        prop_assert!(!(input_ended && to != ToService::Nothing));
                        input_ended |= to == ToService::End;
                    }
                    Op::PeerCode => prop_assert_eq!(end.from_caller(Piece::ExitCode(9)), ToService::Nothing),
                    Op::Broken => { end.input_broken(); input_ended = true; }
                    Op::OutputEnds(stream) => end.end_output(stream),
                    Op::Reaped(code) => end.process_ended(code),
                    Op::Send => sent.extend(end.next_frame()),
                }
            }
            // The service goes away, one way or another: the call must come to its end.
            end.end_output(Stream::Stdout);
            end.end_output(Stream::Stderr);
            end.input_broken();
            end.process_ended(1);
            sent.extend(frames(&mut end));
            prop_assert!(end.finished().is_some());
            let codes = sent.iter().filter(|frame| frame[..4] == 0x193u32.to_le_bytes()).count();
            prop_assert_eq!(codes, 1);
            prop_assert_eq!(&sent.last().unwrap()[..4], &0x193u32.to_le_bytes());
            prop_assert_eq!(sent.len(), if shape == Shape::Detached { 1 } else { 3 });
        }
    }
}
