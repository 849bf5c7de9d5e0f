// SPDX-License-Identifier: GPL-3.0-or-later
//! What the domain asks for: its requests, until each has its one answer.

use std::io;
use std::sync::mpsc;

use bulkhead_types::DomId;
use qrexec_protocol::agent_link::{Refusal, refused};
use qrexec_protocol::exec::{Route, ServiceConnect};
use qrexec_protocol::trigger::{CallRequest, RequestId};
use qrexec_relay::CallingOff;

use super::{Abroad, Session};
use crate::request::{self, Letter, Meeting, Ticket, begin};

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
                            let (daemon, trace) = *both;
                            self.run_abroad(Abroad::new(ticket.ident, route, daemon, trace));
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
            Letter::End(number) => self.end_abroad(number),
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
}
