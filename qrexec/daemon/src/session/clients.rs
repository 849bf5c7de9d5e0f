// SPDX-License-Identifier: GPL-3.0-or-later
//! Calls into the domain, which dom0's programs and other domains' daemons ask for.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Port};
use qrexec_protocol::agent_link::{caller_gone, end_call};
use qrexec_protocol::client_link::{Accepted, Command};
use qrexec_protocol::command::with_default_user;
use qrexec_protocol::exec::{Exec, Route, ServiceConnect};
use qrexec_protocol::frame::Kind;
use qrexec_protocol::limits::{CONTROL_RING, HEADER_LEN, PORTS};
use qrexec_protocol::ports::PortAllocator;

use super::{LINE_MAX, Session};
use crate::clients::{Client, Heard};

/// The most clients at one time: one for each call of dom0 or another domain, and those who ask.
const CLIENTS_MAX: usize = PORTS as usize + 256;

/// How long an agent may still wait for a caller that has gone: it may have been there just before.
const CALLER_GRACE: Duration = Duration::from_secs(1);
/// The same when whoever arranged a call from another domain goes without a word: other
/// implementations' helpers go when that is done, and the caller is still to come.
const HELPER_GRACE: Duration = Duration::from_secs(5);

/// Why a call is refused that might not be later.
const ALL_PORTS: &str = "all ports are in use";

impl Session {
    pub(super) fn admit(&mut self) {
        for number in self.take_clients() {
            // Most have asked by now.
            if self.agent.line.queued() < LINE_MAX {
                self.hear_client(number);
            }
            if let Some(client) = self.clients.get_mut(&number)
                && client.greet().is_err()
            {
                self.clients.remove(&number);
            }
        }
    }

    /// Takes those who have connected; their numbers.
    fn take_clients(&mut self) -> Vec<u64> {
        let mut came = Vec::new();
        let Some(sockets) = &self.sockets else {
            return came;
        };
        loop {
            match sockets.listener.accept() {
                Ok((stream, _)) if self.clients.len() < CLIENTS_MAX => {
                    if let Ok(client) = Client::new(stream) {
                        self.next_client += 1;
                        self.clients.insert(self.next_client, client);
                        came.push(self.next_client);
                    }
                }
                // Past the limit the newcomer is told at once.
                Ok((stream, _)) => {
                    tracing::warn!("too many clients of {}", self.desk.domain.name);
                    Client::turn_away(stream);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return came,
                Err(error) => {
                    tracing::error!("cannot take a client: {error}");
                    return came;
                }
            }
        }
    }

    pub(super) fn hear_client(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else {
            return;
        };
        let kept = match client.hear() {
            Heard::Nothing => Ok(()),
            Heard::Gone => Err(None),
            Heard::CallerGone => {
                if let Some(route) = client.started() {
                    self.leave_alone(route, CALLER_GRACE);
                }
                return;
            }
            Heard::End => {
                if let Some(route) = client.started() {
                    self.agent.line.queue(&end_call(route));
                }
                return;
            }
            Heard::Command(Command::CallerGone(_) | Command::End(_)) => {
                Err(Some("nothing runs yet"))
            }
            Heard::Command(Command::Exec(exec)) => self.exec(number, exec).map_err(Some),
            Heard::Command(Command::Connect(connect, len)) => {
                self.connect(number, connect, len).map_err(Some)
            }
        };
        if let Err(reason) = kept {
            if let Some(reason) = reason {
                tracing::warn!("a call to {} was refused: {reason}", self.desk.domain.name);
            }
            let mut client = self.clients.remove(&number);
            // It may be gone.
            let _ = client.as_mut().map(Client::greet);
            if let Some(route) = client.as_ref().and_then(Client::started) {
                let grace = match route.domain {
                    DomId::DOM0 => CALLER_GRACE,
                    _ => HELPER_GRACE,
                };
                self.leave_alone(route, grace);
            }
            if reason == Some(ALL_PORTS) {
                client.into_iter().for_each(Client::too_many);
            }
        }
    }

    /// The caller of a call into the domain has gone, or whoever waited for its end. Its service may run on;
    /// only if the caller has not come by the time that it should, the agent need not wait for it.
    fn leave_alone(&mut self, route: Route, grace: Duration) {
        self.left_alone.insert(route, Instant::now() + grace);
    }

    /// Tells the agent which callers are not going to come.
    pub(super) fn call_off(&mut self, now: Instant) {
        for (route, _) in self.left_alone.extract_if(.., |_, due| *due <= now) {
            self.agent.line.queue(&caller_gone(route));
        }
    }

    /// Chooses a port for data with `peer`, or checks the one that the client has chosen.
    fn route(&mut self, asked: Route) -> Result<(Route, Option<Route>), &'static str> {
        if asked.port == Port(0) {
            let port = self.ports.allocate(asked.domain).ok_or(ALL_PORTS)?;
            let answer = Route {
                domain: self.desk.domain.id,
                port,
            };
            return Ok((Route { port, ..asked }, Some(answer)));
        }
        if PortAllocator::in_range(asked.port) {
            Ok((asked, None))
        } else {
            Err("the port is out of range")
        }
    }

    fn exec(&mut self, number: u64, exec: Exec) -> Result<(), &'static str> {
        let command = with_default_user(&exec.command, &self.desk.domain.default_user);
        let kind = exec.mode.kind();
        let asked = exec.route;
        let mut frame = Exec { command, ..exec }.encode();
        if frame.len() - HEADER_LEN > CONTROL_RING {
            return Err("its command does not fit the control channel");
        }
        let (route, answer) = self.route(asked)?;
        frame[HEADER_LEN..HEADER_LEN + 8].copy_from_slice(&route.encode());
        self.accept(number, kind, route, answer)?;
        self.left_alone.remove(&route);
        self.agent.line.queue(&frame);
        Ok(())
    }

    fn connect(
        &mut self,
        number: u64,
        connect: ServiceConnect,
        len: usize,
    ) -> Result<(), &'static str> {
        if !self.requests.contains_key(&connect.ident) {
            return Err("no such request waits for an answer");
        }
        let (route, answer) = self.route(connect.route)?;
        self.accept(number, Kind::ServiceConnect, route, answer)?;
        self.requests.remove(&connect.ident);
        self.agent
            .line
            .queue(&ServiceConnect { route, ..connect }.encode_with_field(len));
        Ok(())
    }

    fn accept(
        &mut self,
        number: u64,
        kind: Kind,
        route: Route,
        answer: Option<Route>,
    ) -> Result<(), &'static str> {
        let told = self
            .clients
            .get_mut(&number)
            .ok_or("the client has gone")
            .and_then(|client| {
                let answer = answer.map(|route| Accepted { kind, route });
                client
                    .run(kind, route, answer)
                    .map_err(|_| "the client has gone")
            });
        // A port that the client has chosen is not ours to give back.
        if told.is_err() && answer.is_some() {
            self.ports.release(route);
        }
        told
    }
}
