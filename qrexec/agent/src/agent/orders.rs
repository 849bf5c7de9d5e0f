// SPDX-License-Identifier: GPL-3.0-or-later
//! What the daemon says: calls into this guest, and answers to the requests of its programs.

use std::io;

use qrexec_protocol::agent_link::{ToAgent, terminated};
use qrexec_protocol::exec::Exec;
use qrexec_protocol::limits::PORTS;

use super::{Agent, Daemon, UnderWay};
use crate::callers::Caller;

/// The most calls into this guest at one time: the daemon has no more ports.
const CALLS_MAX: usize = PORTS as usize;

impl Agent {
    pub(super) fn obey(&mut self, message: ToAgent, daemon: &mut Daemon) {
        match message {
            ToAgent::Exec(exec) => self.start(exec, daemon),
            ToAgent::CallerGone(route) => {
                let calls = self.calls.values().filter(|call| call.route == route);
                calls.for_each(|call| call.calling_off.call_off());
            }
            ToAgent::End(route) => {
                let calls = self.calls.values().filter(|call| call.route == route);
                calls.for_each(|call| call.calling_off.end());
                let callers = self.callers.values_mut();
                callers
                    .filter(|caller| caller.calls_over(route))
                    .for_each(Caller::end);
            }
            ToAgent::Refused(ident, why) => {
                let mut callers = self.callers.values();
                if let Some(caller) = callers.find(|caller| caller.was_allowed(&ident)) {
                    caller.give_up_waiting();
                }
                let refused = |_: &u64, caller: &mut Caller| caller.waits_for(&ident);
                for (_, caller) in self.callers.extract_if(.., refused) {
                    caller.refuse(why);
                }
            }
            ToAgent::Connect(connect) => {
                let mut callers = self.callers.iter_mut();
                let Some((number, caller)) =
                    callers.find(|(_, caller)| caller.waits_for(&connect.ident))
                else {
                    tracing::info!("an answer came for a caller that has gone");
                    daemon.queue(&terminated(connect.route));
                    return;
                };
                let number = *number;
                let version = daemon.version().unwrap_or(self.newest);
                if caller.connect(connect.route, version).is_err() {
                    self.callers.remove(&number);
                    daemon.queue(&terminated(connect.route));
                }
            }
        }
    }

    fn start(&mut self, exec: Exec, daemon: &mut Daemon) {
        let route = exec.route;
        self.next_number += 1;
        let number = self.next_number;
        let started = if self.calls.len() < CALLS_MAX {
            let version = daemon.version().unwrap_or(self.newest);
            self.runner.start(exec, version, self.session, number)
        } else {
            Err(io::Error::other("too many calls at one time"))
        };
        match started {
            Ok(calling_off) => {
                self.calls.insert(number, UnderWay { route, calling_off });
            }
            Err(error) => {
                tracing::error!("cannot take a call from domain {}: {error}", route.domain);
                daemon.queue(&terminated(route));
            }
        }
    }

    pub(super) fn settle(&mut self, daemon: &mut Daemon) {
        for ended in self.ended.take() {
            self.calls.remove(&ended.number);
            if ended.session == self.session {
                daemon.queue(&terminated(ended.route));
            }
        }
    }
}
