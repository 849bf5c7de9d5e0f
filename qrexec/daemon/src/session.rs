// SPDX-License-Identifier: GPL-3.0-or-later
//! One session with the domain's agent: from its greeting until it goes or breaks the protocol.

mod abroad;
mod agent;
mod clients;
mod requests;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::{BTreeMap, HashMap};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_vchan::PeerWatch;
use qrexec_protocol::exec::Route;
use qrexec_protocol::limits::CONTROL_RING;
use qrexec_protocol::ports::PortAllocator;
use qrexec_protocol::trigger::RequestId;
use qrexec_protocol::version::{TooOld, Version};
use qrexec_relay::{CallingOff, Mailbox};

pub(crate) use self::abroad::Abroad;
use self::turn::TurnError;
use crate::DaemonError;
use crate::clients::Client;
use crate::reader::Reader;
use crate::request::{Desk, Letter};
use crate::sockets::Sockets;

/// While more than this waits for the agent, nobody is heard: neither the agent nor clients.
const LINE_MAX: usize = 16 * CONTROL_RING;
/// How long an agent that has connected may take for its greeting, when nothing else is said.
const GREETING: Duration = Duration::from_secs(60);

/// How a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// A signal asks for the end of the daemon.
    Signal,
    /// The agent has gone, or its session was ended.
    Over {
        /// Whether the agent had got as far as a greeting.
        greeted: bool,
        /// Calls in other domains that run on.
        running: Vec<Abroad>,
    },
    /// The agent speaks no version that we know.
    TooOld(TooOld),
}

/// The state of a session. Dropping it closes everything that belonged to it.
#[derive(Debug)]
pub(crate) struct Session {
    desk: Arc<Desk>,
    agent: Reader,
    version: Option<Version>,
    sockets: Option<Sockets>,
    ports: PortAllocator,
    clients: BTreeMap<u64, Client>,
    next_client: u64,
    /// Calls into the domain that nobody here waits for any more, and when the agent is to be told.
    left_alone: BTreeMap<Route, Instant>,
    /// Requests that have no answer yet, each with its number.
    requests: HashMap<RequestId, u64>,
    next_request: u64,
    /// Callers whose going somebody waits for.
    callers: HashMap<Route, UnixStream>,
    /// Callers of services in dom0, until they have gone.
    meetings: HashMap<Route, CallingOff>,
    /// Calls in other domains, in the order in which they began.
    abroad: BTreeMap<u64, Abroad>,
    next_abroad: u64,
    letters: Mailbox<Letter>,
}

impl Session {
    /// A session with an agent that has just come. Calls of an earlier session may still be `running`.
    pub fn new(desk: Arc<Desk>, agent: Reader, running: Vec<Abroad>) -> Result<Self, DaemonError> {
        let ports = PortAllocator::new(desk.domain.id);
        let mut session = Self {
            desk,
            agent,
            version: None,
            sockets: None,
            ports,
            clients: BTreeMap::new(),
            next_client: 0,
            left_alone: BTreeMap::new(),
            requests: HashMap::new(),
            next_request: 0,
            callers: HashMap::new(),
            meetings: HashMap::new(),
            abroad: BTreeMap::new(),
            next_abroad: 0,
            letters: Mailbox::new().map_err(DaemonError::SetUp)?,
        };
        for call in running {
            session.run_abroad(call);
        }
        Ok(session)
    }

    /// Runs the session to its end.
    pub fn run(
        mut self,
        signal: BorrowedFd<'_>,
        watch: &mut PeerWatch,
        patience: Option<Duration>,
        ready: &mut impl FnMut(Version),
    ) -> End {
        let greeting = Instant::now() + patience.unwrap_or(GREETING);
        loop {
            match self.turn(signal, watch, greeting, ready) {
                Ok(true) => {}
                Ok(false) => return End::Signal,
                Err(error) => return self.lost(&error),
            }
        }
    }

    fn lost(self, error: &TurnError) -> End {
        let greeted = self.version.is_some();
        // Nobody in dom0 can reach this session any more; the agent may still be speaking.
        drop((self.sockets, self.clients));
        self.agent.finish();
        let calls = self.abroad.into_values();
        let running = calls.filter_map(Abroad::without_agent).collect();
        match error {
            TurnError::Over(Some(versions)) => End::TooOld(*versions),
            TurnError::Over(None) => End::Over { greeted, running },
            error => {
                let error = error.to_string();
                tracing::warn!(
                    "session with the agent of {}: {error}",
                    self.desk.domain.name
                );
                End::Over { greeted, running }
            }
        }
    }
}
