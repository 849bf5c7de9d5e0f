// SPDX-License-Identifier: GPL-3.0-or-later
//! One session with the domain's agent: from its greeting until it goes or breaks the protocol.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{OpenError, PeerWatch};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use qrexec_protocol::agent_link::{Refusal, caller_gone, refused};
use qrexec_protocol::client_link::{Accepted, Command};
use qrexec_protocol::command::with_default_user;
use qrexec_protocol::exec::{Exec, Route, ServiceConnect};
use qrexec_protocol::frame::{Kind, hello};
use qrexec_protocol::limits::{CONTROL_RING, HEADER_LEN, PORTS};
use qrexec_protocol::ports::PortAllocator;
use qrexec_protocol::trigger::{CallRequest, RequestId};
use qrexec_protocol::version::{TooOld, Version};
use qrexec_relay::{DaemonSocket, Interest, Mailbox, wait_for_any};

use crate::DaemonError;
use crate::clients::{Client, Heard};
use crate::line::{LineError, Word};
use crate::reader::Reader;
use crate::request::{self, Desk, Letter, Ticket, begin};
use crate::sockets::Sockets;
use crate::trace::Trace;

/// The most clients at one time: one for each call of dom0 or another domain, and those who ask.
const CLIENTS_MAX: usize = PORTS as usize + 256;
/// While more than this waits for the agent, nobody is heard: neither the agent nor clients.
const LINE_MAX: usize = 16 * CONTROL_RING;
/// After so many messages of the agent, others have their turn.
const MESSAGES_PER_TURN: usize = 64;
/// How long an agent that has connected may take for its greeting, when nothing else is said.
const GREETING: Duration = Duration::from_secs(60);

/// How long a caller in dom0 may still take to meet its service when it has hung up.
const CALLER_GRACE: Duration = Duration::from_secs(1);
/// The same for a caller in another domain: whoever arranged its call may go when that is done.
const HELPER_GRACE: Duration = Duration::from_secs(5);

/// Why a call is refused that might not be later.
const ALL_PORTS: &str = "all ports are in use";

/// How a session ended.
#[derive(Debug)]
pub(crate) enum End {
    /// A signal asks for the end of the daemon.
    Signal,
    /// The agent has gone, or its session was ended.
    Over {
        /// Whether the agent had got as far as a greeting.
        greeted: bool,
    },
    /// The agent speaks no version that we know.
    TooOld(TooOld),
}

/// A call of this domain that runs in another one.
#[derive(Debug)]
struct Abroad {
    ident: RequestId,
    /// The target's daemon, which hangs up when the call has ended.
    daemon: DaemonSocket,
    trace: Trace,
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
    /// Calls in other domains.
    abroad: BTreeMap<Route, Abroad>,
    letters: Mailbox<Letter>,
}

impl Session {
    pub fn new(desk: Arc<Desk>, agent: Reader) -> Result<Self, DaemonError> {
        let ports = PortAllocator::new(desk.domain.id);
        Ok(Self {
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
            abroad: BTreeMap::new(),
            letters: Mailbox::new().map_err(DaemonError::SetUp)?,
        })
    }

    /// Runs the session to its end.
    pub fn run(
        mut self,
        signals: &SigSet,
        watch: &mut PeerWatch,
        patience: Option<Duration>,
        ready: &mut impl FnMut(Version),
    ) -> End {
        let signal = match SignalFd::with_flags(signals, SfdFlags::SFD_CLOEXEC) {
            Ok(signal) => signal,
            Err(errno) => return self.lost(&errno.into()),
        };
        let greeting = Instant::now() + patience.unwrap_or(GREETING);
        loop {
            match self.turn(signal.as_fd(), watch, greeting, ready) {
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
        match error {
            TurnError::Over(Some(versions)) => End::TooOld(*versions),
            TurnError::Over(None) => End::Over { greeted },
            error => {
                let error = error.to_string();
                tracing::warn!(
                    "session with the agent of {}: {error}",
                    self.desk.domain.name
                );
                End::Over { greeted }
            }
        }
    }

    /// Does all that can be done, then waits for more. False when a signal came.
    fn turn(
        &mut self,
        signal: BorrowedFd<'_>,
        watch: &mut PeerWatch,
        greeting: Instant,
        ready: &mut impl FnMut(Version),
    ) -> Result<bool, TurnError> {
        let mut left = MESSAGES_PER_TURN;
        let mut more = true;
        while more && self.agent.line.queued() < LINE_MAX && left > 0 {
            left -= 1;
            match self.agent.line.receive()? {
                None => more = false,
                Some(word) => self.hear_agent(word, ready)?,
            }
            self.agent.line.flush()?;
        }
        let now = Instant::now();
        self.call_off(now);
        self.agent.line.flush()?;
        self.clients
            .retain(|_, client| client.deadline().is_none_or(|end| end > now));
        if self.version.is_none() && now >= greeting {
            return Err(TurnError::NoGreeting);
        }
        let open = self.agent.line.queued() < LINE_MAX;
        let heard = |wanted: bool| {
            if wanted {
                Interest::Readable
            } else {
                Interest::Gone
            }
        };
        let mut entries = vec![
            (self.agent.line.fd(), heard(open)),
            (signal, Interest::Readable),
            (self.letters.fd(), Interest::Readable),
            // Where no such news can come, another descriptor stands in its place.
            (watch.fd().unwrap_or(signal), Interest::Readable),
        ];
        let numbers: Vec<u64> = self.clients.keys().copied().collect();
        entries.extend(
            self.clients
                .values()
                .map(|client| (client.fd(), heard(open))),
        );
        let calls: Vec<Route> = self.abroad.keys().copied().collect();
        let ends = self.abroad.values();
        entries.extend(ends.map(|call| (call.daemon.fd(), heard(open))));
        if let Some(sockets) = &self.sockets {
            entries.push((sockets.listener.as_fd(), heard(open)));
        }
        if self.agent.line.queued() > 0 {
            entries.push((self.agent.line.fd(), Interest::Writable));
        }
        let first = self.clients.values().filter_map(Client::deadline).min();
        let greeting = self.version.is_none().then_some(greeting);
        // More may be waiting to be read from the agent: then this is only a look around.
        let more = (more && open).then_some(now);
        let grace = self.left_alone.values().min().copied();
        let deadline = first.into_iter().chain(greeting).chain(more);
        let deadline = deadline.chain(grace).min();
        let seen = wait_for_any(&entries, deadline)?;
        if seen[1].readable {
            return Ok(false);
        }
        if seen[3].readable && watch.is_gone()? {
            return Err(TurnError::DomainGone);
        }
        if seen[0].gone && !open {
            return Err(LineError::Ended.into());
        }
        if seen[2].readable {
            self.letters
                .take()
                .into_iter()
                .for_each(|letter| self.open(letter));
        }
        for (number, ready) in numbers.iter().zip(&seen[4..]) {
            if ready.any() {
                self.hear_client(*number);
            }
        }
        let mut seen = seen[4 + numbers.len()..].iter();
        for (route, ready) in calls.into_iter().zip(&mut seen) {
            if ready.any()
                && let Some(call) = self.abroad.remove(&route)
            {
                // It may have ended before its caller met anybody.
                if call.ident.is_unique() {
                    self.agent
                        .line
                        .queue(&refused(&call.ident.field(), Refusal::Denied));
                }
                call.trace.end("over");
            }
        }
        if seen.next().is_some_and(|ready| ready.readable) {
            self.admit();
        }
        Ok(true)
    }

    fn agree(
        &mut self,
        version: Version,
        ready: &mut impl FnMut(Version),
    ) -> Result<(), TurnError> {
        tracing::info!(
            "the agent of {} is there; version {version}",
            self.desk.domain.name
        );
        // Its own number to an older agent, ours to a newer one.
        self.version = Some(version);
        self.agent.line.queue(&hello(version));
        self.sockets = Some(Sockets::new(
            &self.desk.options.socket_dir,
            &self.desk.domain,
        )?);
        ready(version);
        Ok(())
    }

    fn hear_agent(&mut self, word: Word, ready: &mut impl FnMut(Version)) -> Result<(), TurnError> {
        match (word, self.version) {
            (Word::Greeted(version), None) => self.agree(version, ready)?,
            (Word::Over(too_old), _) => return Err(TurnError::Over(too_old)),
            (Word::Request(request), Some(_)) => self.request(request),
            (Word::Terminated(route), Some(_)) => {
                self.ports.release(route);
                self.left_alone.remove(&route);
                self.callers.remove(&route);
                if let Some(call) = self.abroad.remove(&route) {
                    call.trace.end("over");
                }
                self.clients.retain(|_, client| !client.runs(route));
            }
            (Word::Met | Word::Greeted(_) | Word::Request(_) | Word::Terminated(_), _) => {
                return Err(TurnError::OutOfTurn);
            }
        }
        Ok(())
    }

    fn request(&mut self, request: CallRequest) {
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

    fn open(&mut self, letter: Letter) {
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
                let ident = ticket.ident;
                let Some(port) = self.ports.allocate(DomId::DOM0) else {
                    tracing::warn!("{}: all ports are in use", self.desk.domain.name);
                    self.agent
                        .line
                        .queue(&refused(&ident.field(), Refusal::Busy));
                    return;
                };
                let route = Route {
                    domain: DomId::DOM0,
                    port,
                };
                self.agent
                    .line
                    .queue(&ServiceConnect { route, ident }.encode());
                // A thread that no longer listens has ended, and said so.
                let _ = answer.send(route);
            }
            Letter::Done { ticket, why } => {
                if self.claim(&ticket) {
                    self.agent.line.queue(&refused(&ticket.ident.field(), why));
                }
            }
        }
    }

    fn admit(&mut self) {
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

    fn hear_client(&mut self, number: u64) {
        let Some(client) = self.clients.get_mut(&number) else {
            return;
        };
        let kept = match client.hear() {
            Heard::Nothing => Ok(()),
            Heard::Gone => Err(None),
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
                self.leave_alone(route);
            }
            if reason == Some(ALL_PORTS) {
                client.into_iter().for_each(Client::too_many);
            }
        }
    }

    /// Whoever waited for the end of a call into the domain has gone. Its service may run on; only if
    /// the caller has not come by the time that it should, the agent need not wait for it.
    fn leave_alone(&mut self, route: Route) {
        let grace = if route.domain == DomId::DOM0 {
            CALLER_GRACE
        } else {
            HELPER_GRACE
        };
        self.left_alone.insert(route, Instant::now() + grace);
    }

    /// Tells the agent which callers are not going to come.
    fn call_off(&mut self, now: Instant) {
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
        if told.is_err() {
            self.ports.release(route);
        }
        told
    }
}

/// Why a session cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnError {
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("the process that reads the guest spoke out of turn")]
    OutOfTurn,
    /// Whoever read the agent has said why.
    #[error("it is over")]
    Over(Option<TooOld>),
    #[error("the domain is gone")]
    DomainGone,
    #[error("its end would not be noticed any more: {0}")]
    Watch(#[from] OpenError),
    #[error("the agent did not greet in time")]
    NoGreeting,
    #[error("the system failed: {0}")]
    System(#[from] io::Error),
}

impl From<nix::Error> for TurnError {
    fn from(errno: nix::Error) -> Self {
        Self::System(errno.into())
    }
}
