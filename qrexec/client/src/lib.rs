// SPDX-License-Identifier: GPL-3.0-or-later
//! The commands that make calls: `qrexec-client` in dom0, `qrexec-client-vm` in a guest.
//!
//! Both ask somebody for a call (a daemon in dom0, the agent in a guest), then serve the data vchan for
//! the other side and relay. What they share is here.
//!
//! Trust: the other side of a call is hostile. What it sends reaches a terminal only through a
//! filter; it can choose the exit code and nothing else.
//!
//! Invariants: every wait for an answer has an end, except the wait for a person's or a service's;
//! messages name service and target; exit codes are those of [`qrexec_protocol::exit`].
#![forbid(unsafe_code)]

pub mod agent_socket;
pub mod dom0_arguments;
pub mod guest_arguments;
pub mod record;

use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{Endpoints, RingSizes, Vchan};
use qrexec_protocol::exit;
use qrexec_protocol::limits::DATA_RING;
use qrexec_protocol::version::Version;
use qrexec_relay::{
    Channel, ChannelError, Interest, Local, Orders, Sink, Traffic, Word, call_measured, complain,
    say, wait,
};

/// How long the other side may still take to come when whoever arranged the call has gone. It may be on
/// its way; but nobody is told of an error before, and a call may have waited for a daemon already.
const ALONE: Duration = Duration::from_millis(300);

/// What this process's own streams are in a call.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    /// What the service's input begins with.
    pub prefix: Vec<u8>,
    /// Output goes back through the socket that is standard input.
    pub stdin_socket: bool,
    /// Whether output is filtered; unset means: on a terminal.
    pub filter_output: Option<bool>,
    /// Whether errors are filtered; unset means: on a terminal.
    pub filter_errors: Option<bool>,
}

impl Streams {
    /// The local side of a call on this process's own streams.
    pub fn open(self) -> io::Result<Local> {
        let input: OwnedFd = io::stdin().as_fd().try_clone_to_owned()?;
        let output = if self.stdin_socket {
            Sink::owned(input.try_clone()?)?
        } else {
            Sink::standard_output()?
        };
        let filter_output = self
            .filter_output
            .unwrap_or_else(|| io::stdout().is_terminal());
        let filter_errors = self
            .filter_errors
            .unwrap_or_else(|| io::stderr().is_terminal());
        Ok(Local {
            input: Some(input),
            back: None,
            prefix: self.prefix,
            output: output.filtered(filter_output),
            errors: Sink::standard_error()?.filtered(filter_errors),
            process: None,
        })
    }
}

/// Announces the data vchan of a call to `peer`.
pub fn announce(endpoints: &Endpoints, peer: DomId, port: Port) -> anyhow::Result<Vchan> {
    let vchan = endpoints.serve(peer, port, RingSizes::both(DATA_RING));
    vchan.context("cannot announce the connection for the call's data")
}

/// Waits for the other side on an announced vchan and greets it with `version`. `orders` come from
/// whoever arranged the call: when that goes, the other side is not likely to come.
pub fn meet(
    version: Version,
    vchan: Vchan,
    mut orders: Orders<'_>,
    patience: Option<Duration>,
) -> Result<Channel, ChannelError> {
    let mut deadline = end_of(patience);
    let mut alone = false;
    // A greeting that is there lets the other side begin at once. But it might be done with the whole
    // call then, and the port be used anew, while this side still takes its announcement back.
    let early = vchan.withdraws_first();
    let mut channel = Channel::greet(version, vchan);
    if early {
        channel.flush()?;
    }
    while channel.waiting() {
        if deadline <= Instant::now() {
            return Err(if alone {
                ChannelError::Closed
            } else {
                ChannelError::TimedOut
            });
        }
        let peer = (channel.fd(), Interest::Readable);
        let order = orders.fd().map(|fd| (fd, Interest::Readable));
        let [came, order] =
            wait([Some(peer), order], Some(deadline)).map_err(ChannelError::Wait)?;
        if came.readable {
            channel.acknowledge()?;
        }
        let word = if order.any() {
            orders.hear()
        } else {
            Word::Nothing
        };
        if word == Word::End {
            return Err(ChannelError::Ended);
        }
        if word == Word::Alone && !alone {
            alone = true;
            deadline = deadline.min(Instant::now() + ALONE);
        }
    }
    channel.agree(deadline)
}

/// When the patience of somebody who begins to wait now has ended. A year stands for no limit, and for all that
/// is longer.
pub fn end_of(patience: Option<Duration>) -> Instant {
    const YEAR: Duration = Duration::from_secs(31_536_000);
    Instant::now() + patience.map_or(YEAR, |patience| patience.min(YEAR))
}

/// Makes the call; the service's exit code. That there is none has been said.
pub fn relay(
    channel: Channel,
    local: Local,
    orders: Orders<'_>,
    what: &str,
    traffic: &mut Traffic,
) -> Result<i32, NoCode> {
    match call_measured(channel, local, orders, traffic) {
        Ok(codes) => Ok(codes.combined()),
        Err(error) => {
            let cut = error.is_cut();
            let error = anyhow::Error::from(error);
            complain(error.context(format!("{what} failed")).as_ref());
            if cut {
                return Err(NoCode(exit::REFUSED));
            }
            // The code that says: there was no exit code.
            Err(NoCode(exit::MALFORMED))
        }
    }
}

/// The call was cut off. What this process should end with all the same.
#[derive(Clone, Copy, Debug)]
pub struct NoCode(pub i32);

/// Prints what is wrong with a command line of `program`.
pub fn print_usage(error: &lexopt::Error, program: &str) {
    say(format!(
        "error: {error}\nhint: `{program} --help` tells what can be said"
    ));
}

/// Prints a help text. Whoever closes the stream has read enough of it.
pub fn print_help(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}
