// SPDX-License-Identifier: GPL-3.0-or-later
//! Running the service's end of a call.

use std::io::PipeReader;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use qrexec_protocol::data::Stream;
use qrexec_protocol::exit;
use qrexec_protocol::service::{ServiceEnd, Shape, ToService};
use thiserror::Error;

use crate::calling_off::{Orders, Word};
use crate::channel::{Channel, ChannelError};
use crate::journal::Journal;
use crate::one_socket;
use crate::process::{Program, Running};
use crate::sink::{Broken, Sink};
use crate::start::Started;
use crate::wait::{Interest, wait};

/// The call was over before the service was done.
#[derive(Debug, Error)]
#[error("{}", if self.is_cut() { "it was cut off" } else { "the caller has gone before the service was done" })]
pub struct Lost(#[from] pub ChannelError);

impl Lost {
    /// Whether whoever arranged the call wanted that.
    pub fn is_cut(&self) -> bool {
        matches!(self.0, ChannelError::Ended)
    }
}

/// Serves a call to its end: until the exit code has been written, the caller has gone, or `orders` say that
/// the call has to end. Returns the exit code.
///
/// A process that outlives the call keeps running without its streams; it is given back so that
/// somebody reaps it. The channel is left to [`Channel::finish`].
pub fn serve(
    channel: &mut Channel,
    started: Started,
    orders: Orders<'_>,
) -> (Option<Running>, Result<i32, Lost>) {
    let mut service = Service::new(started);
    let result = service.relay(channel, orders).map_err(Lost);
    service.leave_errors();
    if service.end.misdirected() {
        tracing::warn!("the caller sent what only a service sends; it was dropped");
    }
    (service.process, result)
}

struct Service {
    end: ServiceEnd,
    /// The process, until it has been reaped.
    process: Option<Running>,
    input: Sink,
    output: Option<OwnedFd>,
    /// The input's other direction, which some programs write to.
    back: Option<OwnedFd>,
    errors: Option<PipeReader>,
    /// The errors are not for the caller.
    errors_stay: bool,
    /// Where the errors are kept.
    journal: Option<Journal>,
}

/// What a pipe holds, in pieces of what is read at one time.
const PIPE_PIECES: usize = 16;

impl Service {
    fn new(started: Started) -> Self {
        let bare = |shape| Self {
            end: ServiceEnd::new(shape),
            process: None,
            input: Sink::nothing(),
            output: None,
            back: None,
            errors: None,
            errors_stay: false,
            journal: None,
        };
        match started {
            Started::Program(Program {
                process,
                input,
                output,
                back,
                errors,
                journal,
                errors_stay,
            }) => {
                let shape = if errors.is_some() && !errors_stay {
                    Shape::Program
                } else {
                    Shape::ProgramWithoutErrors
                };
                Self {
                    process: Some(process),
                    input,
                    output: Some(output),
                    back: Some(back),
                    errors,
                    errors_stay,
                    journal,
                    ..bare(shape)
                }
            }
            Started::Socket(fd, shape) => match fd.try_clone().and_then(Sink::owned) {
                Ok(input) => Self {
                    input,
                    output: Some(fd),
                    ..bare(shape)
                },
                Err(_) => Self::new(Started::Failed(exit::PROBLEM, Shape::Failed)),
            },
            Started::Detached(process) => {
                let mut service = Self {
                    process: Some(process),
                    ..bare(Shape::Detached)
                };
                service.end.process_ended(0);
                service
            }
            Started::Failed(code, shape) => {
                let mut service = bare(shape);
                service.end.end_output(Stream::Stdout);
                service.end.process_ended(code);
                service
            }
        }
    }

    fn relay(
        &mut self,
        channel: &mut Channel,
        mut orders: Orders<'_>,
    ) -> Result<i32, ChannelError> {
        loop {
            self.take_input(channel)?;
            channel.flush()?;
            if !channel.sending() {
                // All that is to be said goes at one time: the caller is woken once.
                while let Some(frame) = self.end.next_frame() {
                    channel.queue(&frame);
                }
                channel.flush()?;
            }
            if let Some(code) = self.end.finished()
                && !channel.sending()
            {
                return Ok(code);
            }
            self.wait(channel, &mut orders)?;
        }
    }

    /// Moves what came from the caller to the service, as far as the service takes it.
    fn take_input(&mut self, channel: &mut Channel) -> Result<(), ChannelError> {
        if self.input.flush().is_err() {
            self.break_input();
        }
        if self.input.blocked() && channel.peer_gone() {
            return Err(ChannelError::Closed);
        }
        while !self.input.blocked() {
            let Self { end, input, .. } = self;
            let mut came = 0;
            let delivered = channel.next(|piece| match end.from_caller(piece) {
                ToService::Write(bytes) => {
                    came = bytes.len();
                    input.write(bytes)
                }
                ToService::End => {
                    input.end();
                    Ok(())
                }
                ToService::Nothing => Ok(()),
            })?;
            channel.count(came);
            match delivered {
                None => break,
                Some(Ok(())) => {}
                Some(Err(Broken)) => self.break_input(),
            }
        }
        Ok(())
    }

    fn break_input(&mut self) {
        self.end.input_broken();
        self.input.close();
    }

    fn wait(&mut self, channel: &mut Channel, orders: &mut Orders<'_>) -> Result<(), ChannelError> {
        let free = !channel.sending();
        let wanted = |stream| free && self.end.reads(stream);
        let errors = self.errors.as_ref();
        let errors = errors.filter(|_| self.errors_stay || wanted(Stream::Stderr));
        let output = self.output.as_ref().filter(|_| wanted(Stream::Stdout));
        let back = self.back.as_ref().filter(|_| wanted(Stream::Stdout));
        let input = match self.input.fd() {
            Some(fd) if self.input.blocked() => Some((fd, Interest::Writable)),
            Some(fd) if self.end.input_open() => Some((fd, Interest::Gone)),
            _ => None,
        };
        let entries = [
            Some((channel.fd(), Interest::Readable)),
            errors.map(|fd| (fd.as_fd(), Interest::Readable)),
            output.map(|fd| (fd.as_fd(), Interest::Readable)),
            back.map(|fd| (fd.as_fd(), Interest::Readable)),
            input,
            self.process
                .as_ref()
                .map(|process| (process.fd(), Interest::Readable)),
            one_socket::fd().map(|fd| (fd, Interest::Readable)),
            orders.fd().map(|fd| (fd, Interest::Readable)),
        ];
        let [vchan, errors, output, back, input, process, signal, order] =
            wait(entries, None).map_err(ChannelError::Wait)?;
        if signal.readable {
            one_socket::take_note();
        }
        if order.any() && orders.hear() == Word::End {
            return Err(ChannelError::Ended);
        }
        if vchan.readable {
            channel.acknowledge()?;
        }
        if errors.readable && self.errors_stay {
            self.keep_errors();
        } else if errors.readable {
            self.read(Stream::Stderr, channel)?;
        }
        // What was written back comes before the end of the output.
        if back.readable {
            self.read_back(channel)?;
        } else if output.readable {
            self.read(Stream::Stdout, channel)?;
        }
        if input.gone && !input.writable {
            self.break_input();
        }
        if process.readable
            && let Some(code) = self.process.as_mut().and_then(Running::ended)
        {
            self.process = None;
            self.end.process_ended(code);
            // What the process left behind must not wait for more input.
            self.break_input();
        }
        Ok(())
    }

    /// Sends what the service has written; not while an earlier frame still waits.
    fn read(&mut self, stream: Stream, channel: &mut Channel) -> Result<(), ChannelError> {
        if channel.sending() {
            return Ok(());
        }
        let source = if stream == Stream::Stdout {
            self.output.as_ref().map(AsFd::as_fd)
        } else {
            self.errors.as_ref().map(AsFd::as_fd)
        };
        let more = source.is_some_and(|fd| channel.send_from(stream, fd).unwrap_or(false));
        if !more {
            match stream {
                Stream::Stdout => self.output = None,
                _ => self.errors = None,
            }
            if stream != Stream::Stdout || !self.speaks_on_input() {
                self.end.end_output(stream);
            }
        } else if stream == Stream::Stderr
            && let Some(journal) = &mut self.journal
        {
            journal.take(channel.sent_body());
        }
        channel.flush()
    }

    /// Puts errors that are not for the caller where they are kept.
    fn keep_errors(&mut self) {
        if let (Some(errors), Some(journal)) = (&mut self.errors, &mut self.journal)
            && journal.take_from(errors)
        {
            return;
        }
        self.errors = None;
    }

    /// What has been written of such errors is kept now, and in a thread what is still to come: by a
    /// process that outlives the call, or that the service has left behind.
    fn leave_errors(&mut self) {
        if !self.errors_stay {
            return;
        }
        for _ in 0..PIPE_PIECES {
            let Some(errors) = &self.errors else { return };
            let entry = Some((errors.as_fd(), Interest::Readable));
            match wait([entry], Some(Instant::now())) {
                Ok([errors]) if errors.readable => self.keep_errors(),
                _ => break,
            }
        }
        if let (Some(errors), Some(journal)) = (self.errors.take(), self.journal.take())
            && let Err(error) = journal.follow(errors)
        {
            tracing::warn!("what a service left behind cannot be heard: {error}");
        }
    }

    fn speaks_on_input(&mut self) -> bool {
        let process = self.process.as_mut().filter(|_| self.back.is_some());
        process.is_some_and(Running::has_one_socket)
    }

    fn read_back(&mut self, channel: &mut Channel) -> Result<(), ChannelError> {
        if channel.sending() {
            return Ok(());
        }
        let more = self
            .back
            .as_ref()
            .is_some_and(|fd| channel.send_from(Stream::Stdout, fd).unwrap_or(false));
        if !more {
            self.back = None;
            if self.output.is_none() {
                self.end.end_output(Stream::Stdout);
            }
        }
        channel.flush()
    }
}
