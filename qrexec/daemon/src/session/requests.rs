// SPDX-License-Identifier: GPL-3.0-or-later
//! What the domain asks for: its requests, until each has its one answer, and its calls in other
//! domains.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::mpsc;

use bulkhead_types::DomId;
use qrexec_protocol::agent_link::{Refusal, refused};
use qrexec_protocol::exec::{Route, ServiceConnect};
use qrexec_protocol::trigger::{CallRequest, RequestId};
use qrexec_relay::{CallingOff, DaemonSocket};

use super::Session;
use crate::request::{self, Letter, Meeting, Ticket, begin};
use crate::trace::Trace;

/// A call of this domain that runs in another one.
#[derive(Debug)]
pub(super) struct Abroad {
    ident: RequestId,
    /// The target's daemon, which hangs up when the call has ended.
    daemon: DaemonSocket,
    trace: Trace,
}

impl Abroad {
    /// Readable once the call has ended.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.daemon.fd()
    }

    /// The caller has gone. Whether it had come at all, the other daemon does not know.
    pub fn caller_gone(self, route: Route) {
        self.daemon.caller_gone(route);
        self.trace.end("over");
    }
}

impl Session {
    pub(super) fn request(&mut self, request: CallRequest) {
        let ident = request.ident.clone();
        let (error, why) = if self.requests.contains_key(&ident) {
            (io::Error::other("its id is in use"), Refusal::Denied)
        } else {
            self.next_request += 1;
            match begin(&self.desk, request, self.next_request, self.letters.post()) {
                Ok(()) => {
                    self.requests.insert(ident, self.next_request);
                    return;
                }
                Err(error) => (error, Refusal::Busy),
            }
        };
        tracing::warn!("{}: a request was refused: {error}", self.desk.domain.name);
        self.agent.line.queue(&refused(&ident.field(), why));
    }

    /// Takes the right to answer the request, which exists once.
    fn claim(&mut self, ticket: &Ticket) -> bool {
        let waits = self.requests.get(&ticket.ident) == Some(&ticket.number);
        if waits {
            self.requests.remove(&ticket.ident);
        }
        waits
    }

    pub(super) fn open(&mut self, letter: Letter) {
        match letter {
            Letter::Connect { ticket, route, end } => {
                if self.claim(&ticket) {
                    let ident = ticket.ident.clone();
                    self.agent
                        .line
                        .queue(&ServiceConnect { route, ident }.encode());
                    match end {
                        request::End::Tell(stream) => drop(self.callers.insert(route, stream)),
                        request::End::Told(both) => {
                            let (ident, (daemon, trace)) = (ticket.ident, *both);
                            let call = Abroad {
                                ident,
                                daemon,
                                trace,
                            };
                            self.abroad.insert(route, call);
                        }
                    }
                }
            }
            Letter::Dom0 { ticket, answer } => {
                if !self.claim(&ticket) {
                    return;
                }
                self.connect_dom0(ticket.ident, &answer);
            }
            Letter::Done { ticket, why } => {
                if self.claim(&ticket) {
                    self.agent.line.queue(&refused(&ticket.ident.field(), why));
                }
            }
        }
    }

    /// Passes the caller of a service in dom0 on to where it is to be met.
    fn connect_dom0(&mut self, ident: RequestId, answer: &mpsc::Sender<Meeting>) {
        let free = self
            .ports
            .allocate(DomId::DOM0)
            .ok_or("all ports are in use");
        let calling_off = CallingOff::new().map_err(|_| "too many files are open");
        let (port, calling_off) = match (free, calling_off) {
            (Ok(port), Ok(calling_off)) => (port, calling_off),
            (free, calling_off) => {
                if let Ok(port) = free {
                    let domain = DomId::DOM0;
                    self.ports.release(Route { domain, port });
                }
                let why = free.err().or(calling_off.err()).unwrap_or_default();
                tracing::warn!("{}: {why}", self.desk.domain.name);
                let refusal = refused(&ident.field(), Refusal::Busy);
                return self.agent.line.queue(&refusal);
            }
        };
        let route = Route {
            domain: DomId::DOM0,
            port,
        };
        let connect = ServiceConnect { route, ident };
        self.agent.line.queue(&connect.encode());
        self.meetings.insert(route, calling_off.clone());
        // A thread that no longer listens has ended, and said so.
        let _ = answer.send(Meeting { route, calling_off });
    }

    /// The target's daemon says that a call has ended.
    pub(super) fn ended_abroad(&mut self, route: Route) {
        if let Some(call) = self.abroad.remove(&route) {
            // It may have ended before its caller met anybody.
            if call.ident.is_unique() {
                let refusal = refused(&call.ident.field(), Refusal::Denied);
                self.agent.line.queue(&refusal);
            }
            call.trace.end("over");
        }
    }
}
