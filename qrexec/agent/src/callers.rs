// SPDX-License-Identifier: GPL-3.0-or-later
//! Local programs that ask for calls.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use qrexec_protocol::agent_link::Refusal;
use qrexec_protocol::agent_socket::{
    ALONE, BUSY, Connection, ENDED, FromCaller, is_unframed, unframed_header,
};
use qrexec_protocol::exec::Route;
use qrexec_protocol::frame::{Incoming, Receiver};
use qrexec_protocol::trigger::{RequestId, UntrustedTrigger};
use qrexec_protocol::version::Version;

/// A local program and how far its request has come.
#[derive(Debug)]
pub(crate) struct Caller {
    stream: UnixStream,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It is still speaking, since then.
    Asking(Receiver<FromCaller>, Instant),
    /// Its request is with the daemon.
    Waiting(RequestId),
    /// Its request, which was allowed; its going away ends the call.
    Connected(RequestId, Route),
    /// Such a call whose daemon has gone. The next one knows nothing of it, and may have given its route away.
    Outliving,
}

/// What a caller did.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Nothing that matters yet.
    Nothing,
    /// A whole request.
    Request(Box<UntrustedTrigger>),
    /// It has gone, or spoke nonsense: it is to be dropped. Its call, if it had one, is over.
    Gone(Option<Route>),
}

impl Caller {
    /// A program that has come now.
    pub fn new(stream: UnixStream, now: Instant) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            state: State::Asking(Receiver::new(), now),
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Whether the caller is still to be heard; one that waits is only watched for its going.
    pub fn asking(&self) -> bool {
        matches!(self.state, State::Asking(..))
    }

    /// Since when it is still speaking, if it is.
    pub fn asking_since(&self) -> Option<Instant> {
        match self.state {
            State::Asking(_, since) => Some(since),
            _ => None,
        }
    }

    /// The request is on its way to the daemon under this id.
    pub fn wait_for(&mut self, ident: RequestId) {
        self.state = State::Waiting(ident);
    }

    /// Whether the caller waits for the answer to this request.
    pub fn waits_for(&self, ident: &RequestId) -> bool {
        matches!(&self.state, State::Waiting(own) if own == ident)
    }

    /// Whether the caller's request is with the daemon, unanswered.
    pub fn unanswered(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// Tells the caller where the data of its call goes, and what dom0 speaks.
    pub fn connect(&mut self, route: Route, version: Version) -> io::Result<()> {
        // A stream that nothing was written to takes so few bytes.
        self.stream
            .write_all(&Connection { route, version }.encode())?;
        if let State::Waiting(ident) = &self.state {
            self.state = State::Connected(ident.clone(), route);
        }
        Ok(())
    }

    /// Whether this request of the caller was allowed.
    pub fn was_allowed(&self, ident: &RequestId) -> bool {
        matches!(&self.state, State::Connected(own, _) if own == ident)
    }

    /// Whether the data of the caller's call goes over this route.
    pub fn calls_over(&self, route: Route) -> bool {
        matches!(&self.state, State::Connected(_, own) if *own == route)
    }

    /// Tells a caller with a route that its call has to end.
    pub fn end(&mut self) {
        // A caller that does not read is not waited for.
        let _ = self.stream.write_all(ENDED);
    }

    /// Tells a caller with a route that it need not wait for anybody who is not there yet.
    pub fn give_up_waiting(&self) {
        // A caller that has gone needs no telling, nor one that has no route yet.
        if matches!(self.state, State::Connected(..)) {
            let _ = (&self.stream).write_all(ALONE);
        }
    }

    /// The daemon that has answered is no more; the call goes on.
    pub fn outlive_daemon(&mut self) {
        self.give_up_waiting();
        if let State::Connected(..) = self.state {
            self.state = State::Outliving;
        }
    }

    /// Ends the caller's request; where too much is under way, it learns that much.
    pub fn refuse(mut self, why: Refusal) {
        if why == Refusal::Busy {
            let _ = self.stream.write_all(BUSY);
        }
    }

    /// Reads what the caller has said.
    pub fn hear(&mut self) -> Heard {
        let mut bytes = [0; 4096];
        let len = match self.stream.read(&mut bytes) {
            Ok(len) => len,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Heard::Nothing;
            }
            Err(_) => 0,
        };
        match &mut self.state {
            State::Connected(_, route) => Heard::Gone(Some(*route)),
            State::Outliving => Heard::Gone(None),
            _ if len == 0 => Heard::Gone(None),
            // Nothing may follow a request.
            State::Waiting(_) => Heard::Gone(None),
            State::Asking(receiver, _) => {
                if receiver.pending() == 0 && bytes[..len].first().is_some_and(is_unframed) {
                    receiver.push(&unframed_header());
                }
                receiver.push(&bytes[..len]);
                match receiver.next() {
                    Ok(Some(Incoming::Message(trigger))) if receiver.pending() == 0 => {
                        Heard::Request(Box::new(trigger))
                    }
                    Ok(None) => Heard::Nothing,
                    _ => Heard::Gone(None),
                }
            }
        }
    }
}
