// SPDX-License-Identifier: GPL-3.0-or-later
//! Running the caller's end of a call.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use qrexec_protocol::caller::{CallerEnd, ToCaller};
use qrexec_protocol::data::Stream;
use thiserror::Error;

use crate::calling_off::{Orders, Word};
use crate::channel::{Channel, ChannelError};
use crate::one_socket;
use crate::process::Running;
use crate::sink::{Broken, Sink};
use crate::wait::{Interest, wait};

/// How long a caller whose service has gone without an exit code waits to be told that the call was to end:
/// the service is told first, and the word for the caller has further to go.
const REASON_FOLLOWS: Duration = Duration::from_millis(500);

/// The call came to no end of its own: there is no exit code.
#[derive(Debug, Error)]
#[error("the call was cut off before the service's exit code came")]
pub struct CallFailed(#[from] pub ChannelError);

impl CallFailed {
    /// Whether whoever arranged the call wanted that.
    pub fn is_cut(&self) -> bool {
        matches!(self.0, ChannelError::Ended)
    }
}

/// The local side of a call.
#[derive(Debug)]
pub struct Local {
    /// Where the service's input comes from; `None` ends it at once.
    pub input: Option<OwnedFd>,
    /// Another source of input: what a local program writes to its own input.
    pub back: Option<OwnedFd>,
    /// What the service's input begins with.
    pub prefix: Vec<u8>,
    /// Where its output goes.
    pub output: Sink,
    /// Where its errors go.
    pub errors: Sink,
    /// The local program behind input and output, if there is one: the call ends after it.
    pub process: Option<Running>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codes {
    /// The service's exit code.
    pub remote: i32,
    /// The local program's exit code.
    pub local: Option<i32>,
}

impl Codes {
    /// The one code for both: the service's unless it is 0, else the local program's.
    pub fn combined(self) -> i32 {
        if self.remote == 0 {
            self.local.unwrap_or(0)
        } else {
            self.remote
        }
    }
}

/// Makes a call to its end: until the service's exit code is in and everything it wrote has been
/// passed on, or until `orders` say that it has to end.
pub fn call(channel: Channel, local: Local, orders: Orders<'_>) -> Result<Codes, CallFailed> {
    call_measured(channel, local, orders, &mut Traffic::default())
}

/// What passed through the channel of a call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// Bytes that came from the service.
    pub received: u64,
    /// Bytes that were sent to it.
    pub sent: u64,
    /// When the first byte of it came.
    pub first_answer: Option<Instant>,
}

/// Makes a call as [`call`] does, and tells what has passed, also where it failed.
pub fn call_measured(
    channel: Channel,
    local: Local,
    orders: Orders<'_>,
    traffic: &mut Traffic,
) -> Result<Codes, CallFailed> {
    let mut caller = Caller {
        end: CallerEnd::new(),
        channel,
        local,
        local_code: None,
    };
    let result = caller.relay(orders);
    let (received, sent) = caller.channel.moved();
    *traffic = Traffic {
        received,
        sent,
        first_answer: caller.channel.first_answer(),
    };
    if let Err(mut error) = result {
        // The other side may have heard of it first.
        if !matches!(error, ChannelError::Ended) && ends_soon(orders) {
            error = ChannelError::Ended;
        }
        // The other side is not to wait for the program behind the call, which ends with its streams.
        drop(caller.channel);
        caller.local.input = None;
        caller.local.back = None;
        caller.local.output.close();
        if let Some(mut process) = caller.local.process.take() {
            process.reap();
        }
        return Err(error.into());
    }
    result.map_err(CallFailed)
}

/// Whether it is said within a moment that the call has to end.
fn ends_soon(mut orders: Orders<'_>) -> bool {
    let deadline = Instant::now() + REASON_FOLLOWS;
    while let Some(fd) = orders.fd() {
        match wait([Some((fd, Interest::Readable))], Some(deadline)) {
            Ok([order]) if order.any() => {}
            _ => return false,
        }
        match orders.hear() {
            Word::End => return true,
            Word::Alone => return false,
            Word::Nothing => {}
        }
    }
    false
}

struct Caller {
    end: CallerEnd,
    channel: Channel,
    local: Local,
    local_code: Option<i32>,
}

impl Caller {
    fn relay(&mut self, mut orders: Orders<'_>) -> Result<Codes, ChannelError> {
        let prefix = std::mem::take(&mut self.local.prefix);
        for part in prefix.chunks(self.channel.body_max()) {
            self.channel.queue(&Stream::Stdin.header(part.len()));
            self.channel.queue(part);
        }
        if self.local.input.is_none() {
            self.end.input_ended();
        }
        loop {
            self.take_output()?;
            self.send();
            if let Some(remote) = self.end.code() {
                self.local.input = None;
                self.local.back = None;
                self.local.output.end();
                self.local.errors.end();
                let flushed = !self.local.output.blocked() && !self.local.errors.blocked();
                if flushed && self.local.process.is_none() {
                    return Ok(Codes {
                        remote,
                        local: self.local_code,
                    });
                }
            }
            self.wait(&mut orders)?;
        }
    }

    /// Sends what waits. When the service's side takes nothing any more, its exit code may still be
    /// on the way, so that is no reason to give up.
    fn send(&mut self) {
        if !self.end.sends() {
            return;
        }
        let mut result = self.channel.flush();
        if result.is_ok() && !self.channel.sending() {
            while let Some(frame) = self.end.next_frame() {
                self.channel.queue(&frame);
            }
            result = self.channel.flush();
        }
        if result.is_err() {
            self.end.sending_failed();
        }
    }

    /// Moves what came from the service to its place, as far as that takes it.
    fn take_output(&mut self) -> Result<(), ChannelError> {
        if self.local.output.flush().is_err() {
            self.break_output(Stream::Stdout);
        }
        if self.local.errors.flush().is_err() {
            self.break_output(Stream::Stderr);
        }
        while !self.local.output.blocked()
            && !self.local.errors.blocked()
            && self.end.code().is_none()
        {
            let Self {
                end,
                local,
                channel,
                ..
            } = self;
            let mut came = 0;
            let delivered = channel.next(|piece| match end.from_service(piece) {
                ToCaller::Write(Stream::Stderr, bytes) => {
                    came = bytes.len();
                    local.errors.write(bytes).map_err(|Broken| Stream::Stderr)
                }
                ToCaller::Write(_, bytes) => {
                    came = bytes.len();
                    local.output.write(bytes).map_err(|Broken| Stream::Stdout)
                }
                ToCaller::End(Stream::Stderr) => {
                    local.errors.end();
                    Ok(())
                }
                ToCaller::End(_) => {
                    local.output.end();
                    Ok(())
                }
                ToCaller::Nothing => Ok(()),
            })?;
            channel.count(came);
            match delivered {
                None => break,
                Some(Ok(())) => {}
                Some(Err(stream)) => self.break_output(stream),
            }
        }
        Ok(())
    }

    fn break_output(&mut self, stream: Stream) {
        self.end.output_broken(stream);
        match stream {
            Stream::Stderr => self.local.errors.close(),
            _ => self.local.output.close(),
        }
    }

    fn wait(&mut self, orders: &mut Orders<'_>) -> Result<(), ChannelError> {
        let Local {
            input,
            back,
            output,
            errors,
            process,
            ..
        } = &self.local;
        let wants_input = self.end.reads_input() && !self.channel.sending();
        let input = input
            .as_ref()
            .filter(|_| wants_input)
            .map(|fd| (fd.as_fd(), Interest::Readable));
        let back = back
            .as_ref()
            .filter(|_| wants_input)
            .map(|fd| (fd.as_fd(), Interest::Readable));
        let interest = |sink: &Sink| {
            if sink.blocked() {
                Interest::Writable
            } else {
                Interest::Gone
            }
        };
        let output = output.fd().map(|fd| (fd, interest(output)));
        let errors = errors
            .fd()
            .filter(|_| errors.blocked())
            .map(|fd| (fd, Interest::Writable));
        let process = process
            .as_ref()
            .map(|process| (process.fd(), Interest::Readable));
        let entries = [
            Some((self.channel.fd(), Interest::Readable)),
            input,
            back,
            output,
            errors,
            process,
            one_socket::fd().map(|fd| (fd, Interest::Readable)),
            orders.fd().map(|fd| (fd, Interest::Readable)),
        ];
        let [vchan, input, back, output, _, process, signal, order] =
            wait(entries, None).map_err(ChannelError::Wait)?;
        if signal.readable {
            one_socket::take_note();
        }
        if order.any() && orders.hear() == Word::End {
            return Err(ChannelError::Ended);
        }
        if vchan.readable {
            self.channel.acknowledge()?;
        }
        // What was written back comes before the end of the input.
        if back.readable {
            if !send_input(&mut self.channel, &self.local.back) {
                self.local.back = None;
                if self.local.input.is_none() {
                    self.end.input_ended();
                }
            }
        } else if input.readable && !send_input(&mut self.channel, &self.local.input) {
            self.local.input = None;
            let program = self.local.process.as_mut();
            let program = program.filter(|_| self.local.back.is_some());
            if !program.is_some_and(Running::has_one_socket) {
                self.end.input_ended();
            }
        }
        if output.gone && !output.writable {
            self.break_output(Stream::Stdout);
        }
        if process.readable
            && let Some(code) = self.local.process.as_mut().and_then(Running::ended)
        {
            self.local.process = None;
            self.local_code = Some(code);
        }
        Ok(())
    }
}

/// Sends what stands at a local input; false at its end.
fn send_input(channel: &mut Channel, source: &Option<OwnedFd>) -> bool {
    let more = source
        .as_ref()
        .map(|fd| channel.send_from(Stream::Stdin, fd));
    matches!(more, Some(Ok(true)))
}
