// SPDX-License-Identifier: GPL-3.0-or-later
//! The domain's calls in other domains. Their data flows between the two, and dom0 only hears of their end.
//!
//! Either domain may lie. So a call is over when both have said so: the caller's agent by a message, the
//! service's by its daemon, which hangs up. An agent that goes says nothing about calls that run; what the
//! other side says counts then, also in the next session ([`Abroad::without_agent`]).
//!
//! A call that policy wants ended is ended by the agents of both domains, the service's first: if its caller
//! went before, the service would be left to itself, as always then. One honest agent is enough to close
//! the channel. What was not said within [`END_PATIENCE`] is recorded as not confirmed; for two domains
//! that both disobey there is no other end than that of one of them.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use qrexec_protocol::agent_link::{Refusal, end_call, refused};
use qrexec_protocol::exec::Route;
use qrexec_protocol::trigger::RequestId;
use qrexec_relay::DaemonSocket;

use super::Session;
use crate::running::Stop;
use crate::trace::{Silent, Trace};

/// How long the domain of a service whose caller has gone may take to say that the service has ended. Then
/// the caller's agent is not believed, and the call has to end.
const SERVICE_GRACE: Duration = Duration::from_secs(5);
/// How long the caller is left in peace meanwhile.
const SERVICE_FIRST: Duration = Duration::from_millis(500);
/// How long both domains may take to say that a call is over that has to end.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// A call of this domain that runs in another one.
#[derive(Debug)]
pub(crate) struct Abroad {
    ident: RequestId,
    route: Route,
    /// Whether the caller's agent is still to say that the caller has gone.
    caller: bool,
    /// The target's daemon, which hangs up when the service has ended.
    daemon: Option<Arc<DaemonSocket>>,
    trace: Trace,
    /// When silence is no longer waited out.
    due: Option<Instant>,
    ending: Ending,
}

/// Whether policy wants a call ended, and who has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    ServiceTold,
    BothTold,
}

impl Abroad {
    pub fn new(ident: RequestId, route: Route, daemon: DaemonSocket, trace: Trace) -> Self {
        Self {
            ident,
            route,
            caller: true,
            daemon: Some(Arc::new(daemon)),
            trace,
            due: None,
            ending: Ending::No,
        }
    }

    /// Readable once the service has ended.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.daemon.as_ref().map(|daemon| daemon.fd())
    }

    /// What is left of the call when the caller's agent has gone, which will not speak of it any more.
    pub fn without_agent(self) -> Option<Self> {
        let caller = false;
        self.daemon.is_some().then_some(Self { caller, ..self })
    }

    fn is_over(&self) -> bool {
        !self.caller && self.daemon.is_none()
    }

    fn give_up(self) {
        // The caller is said to have gone, and the service has nothing to do any more.
        if let (Ending::No, Some(daemon)) = (self.ending, &self.daemon) {
            daemon.end_call(self.route);
        }
        self.finish();
    }

    fn finish(self) {
        let silent = match (self.caller, self.daemon.is_some()) {
            _ if self.ending == Ending::No => None,
            (true, true) => Some(Silent::Both),
            (true, false) => Some(Silent::Caller),
            (false, true) => Some(Silent::Service),
            (false, false) => None,
        };
        match silent {
            Some(silent) => self.trace.end_unconfirmed(silent),
            None => self.trace.end("over"),
        }
    }
}

impl Session {
    /// From now on this call runs.
    pub(super) fn run_abroad(&mut self, call: Abroad) {
        self.next_abroad += 1;
        let number = self.next_abroad;
        if let Some(daemon) = &call.daemon {
            // Where it should have ended by now, that is done at once.
            call.trace.can_stop(Stop::Abroad {
                daemon: Arc::clone(daemon),
                route: call.route,
                number,
                post: self.letters.post(),
            });
        }
        self.abroad.insert(number, call);
    }

    /// The target's daemon says that the service has ended.
    pub(super) fn ended_abroad(&mut self, number: u64) {
        let Some(call) = self.abroad.get_mut(&number) else {
            return;
        };
        call.daemon = None;
        // It may have ended before its caller met anybody.
        if call.caller && call.ending == Ending::No && call.ident.is_unique() {
            let refusal = refused(&call.ident.field(), Refusal::Denied);
            self.agent.line.queue(&refusal);
        }
        self.end_caller(number);
        self.settle(number);
    }

    /// The agent says that a caller has gone. Where a port was used again before that, the older one is meant.
    pub(super) fn caller_of_abroad_gone(&mut self, route: Route) {
        let mut calls = self.abroad.iter_mut();
        let Some((number, call)) = calls.find(|(_, call)| call.caller && call.route == route)
        else {
            return;
        };
        let number = *number;
        call.caller = false;
        // Whether the caller had come at all, the other daemon does not know.
        if let Some(daemon) = &call.daemon {
            daemon.caller_gone(route);
        }
        call.due.get_or_insert(Instant::now() + SERVICE_GRACE);
        self.settle(number);
    }

    /// Policy wants a call ended; the target's daemon has been told.
    pub(super) fn end_abroad(&mut self, number: u64) {
        let Some(call) = self.abroad.get_mut(&number) else {
            return;
        };
        call.ending = Ending::ServiceTold;
        call.due = Some(Instant::now() + SERVICE_FIRST);
        if call.daemon.is_none() {
            self.end_caller(number);
        }
    }

    /// Tells the caller's agent of an end that the service's has been told of.
    fn end_caller(&mut self, number: u64) {
        let call = self.abroad.get_mut(&number);
        if let Some(call) = call.filter(|call| call.ending == Ending::ServiceTold) {
            call.ending = Ending::BothTold;
            call.due = Some(Instant::now() + END_PATIENCE);
            if call.caller {
                self.agent.line.queue(&end_call(call.route));
            }
        }
    }

    fn settle(&mut self, number: u64) {
        if self.abroad.get(&number).is_some_and(Abroad::is_over)
            && let Some(call) = self.abroad.remove(&number)
        {
            call.finish();
        }
    }

    /// Waits no longer for those who should have spoken by now.
    pub(super) fn give_up_abroad(&mut self, now: Instant) {
        let due = self.abroad.iter();
        let due = due.filter(|(_, call)| call.due.is_some_and(|due| due <= now));
        let numbers: Vec<u64> = due.map(|(number, _)| *number).collect();
        for number in numbers {
            match self.abroad.get(&number).map(|call| call.ending) {
                Some(Ending::ServiceTold) => self.end_caller(number),
                Some(Ending::No | Ending::BothTold) => {
                    if let Some(call) = self.abroad.remove(&number) {
                        call.give_up();
                    }
                }
                None => {}
            }
        }
    }

    /// When that is next to be done.
    pub(super) fn abroad_due(&self) -> Option<Instant> {
        self.abroad.values().filter_map(|call| call.due).min()
    }
}
