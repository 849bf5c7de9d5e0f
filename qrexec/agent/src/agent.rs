// SPDX-License-Identifier: GPL-3.0-or-later
//! The agent's loop.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{Endpoints, OpenError, RingSizes};
use qrexec_protocol::agent_link::{FromDaemon, ToAgent, terminated};
use qrexec_protocol::exec::{Exec, Route};
use qrexec_protocol::frame::{Incoming, hello};
use qrexec_protocol::limits::{CONTROL_RING, HEADER_LEN, PORTS};
use qrexec_protocol::trigger::{RequestId, UntrustedTrigger};
use qrexec_protocol::version::Version;
use qrexec_relay::{
    CallingOff, Control, ControlError, Host, Interest, Mailbox, Pool, wait_for_any,
};
use thiserror::Error;

use crate::callers::{Caller, Heard};
use crate::calls::{Ended, Runner};
use crate::carry_out::STACK;
use crate::session::Sessions;

/// The most local programs that may have a call or a request at one time.
const CALLERS_MAX: usize = 2048;
/// The most calls into this guest at one time: the daemon has no more ports.
const CALLS_MAX: usize = PORTS as usize;
/// How many of them may still be speaking; then the one that has been for the longest time has to go.
const ASKING_MAX: usize = 512;
/// How long a local program may take to say what it asks for.
const ASKING: Duration = Duration::from_secs(10);
/// How long nobody is let in after somebody could not be.
const REST: Duration = Duration::from_millis(200);
/// While more than this waits for the daemon, no request is taken.
const LINE_MAX: usize = 8 * CONTROL_RING;

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Options {
    /// The socket for local programs.
    pub socket: PathBuf,
    /// Where the fork servers in users' sessions are; `%s` stands for the user. Empty: none.
    pub fork_servers: String,
    /// The newest version of the protocol to speak.
    pub newest: Version,
}

/// Why the agent cannot work.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The socket for local programs cannot be made.
    #[error("cannot make the socket {}", .path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The control channel cannot be announced.
    #[error("cannot announce the control channel")]
    Announce(#[source] OpenError),
    /// Something that every process needs is missing.
    #[error("cannot set up the agent")]
    SetUp(#[source] io::Error),
}

/// The agent.
#[derive(Debug)]
pub struct Agent {
    listener: UnixListener,
    newest: Version,
    runner: Runner,
    ended: Mailbox<Ended>,
    callers: BTreeMap<u64, Caller>,
    /// Until when nobody is let in, since the system had no descriptor for the last one.
    rests_until: Option<Instant>,
    next_number: u64,
    session: u64,
    /// Calls into this guest, by their numbers.
    calls: BTreeMap<u64, UnderWay>,
}

/// A call into this guest.
#[derive(Debug)]
struct UnderWay {
    route: Route,
    calling_off: CallingOff,
}

type Daemon = Control<FromDaemon>;

impl Agent {
    /// An agent that has its socket, before it has announced itself.
    pub fn new(endpoints: Endpoints, host: Host, options: &Options) -> Result<Self, AgentError> {
        let failed = |source| AgentError::Socket {
            path: options.socket.clone(),
            source,
        };
        if let Some(folder) = options.socket.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        match fs::remove_file(&options.socket) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&options.socket).map_err(failed)?;
        // Every program in the guest may ask: policy is decided in dom0.
        fs::set_permissions(&options.socket, fs::Permissions::from_mode(0o777)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let ended = Mailbox::new().map_err(AgentError::SetUp)?;
        let (endpoints, host) = (Arc::new(endpoints), Arc::new(host));
        let runner = Runner {
            endpoints,
            host,
            sessions: Sessions::new(&options.fork_servers),
            post: ended.post(),
            pool: Pool::new("call", STACK),
        };
        let callers = BTreeMap::new();
        Ok(Self {
            listener,
            newest: options.newest,
            runner,
            ended,
            callers,
            rests_until: None,
            next_number: 0,
            session: 0,
            calls: BTreeMap::new(),
        })
    }

    /// Announces the control channel, and again whenever the daemon has gone. `ready` is called each
    /// time a daemon has agreed on a version.
    pub fn run(&mut self, mut ready: impl FnMut(Version)) -> Result<(), AgentError> {
        loop {
            let sizes = RingSizes::both(CONTROL_RING);
            let vchan = self
                .runner
                .endpoints
                .serve(DomId::DOM0, Port::QREXEC, sizes);
            let vchan = vchan.map_err(AgentError::Announce)?;
            let mut daemon = Daemon::offering(self.newest, vchan);
            self.session += 1;
            daemon.queue(&hello(self.newest));
            let error = loop {
                if let Err(error) = self.turn(&mut daemon, &mut ready) {
                    break error;
                }
            };
            tracing::warn!("session {}: {}", self.session, chain(&error));
            if daemon.version().is_none() && self.newest > Version::V2 {
                // Where a daemon does not take our version, it says so in dom0 and hangs up.
                tracing::warn!(
                    "it went without a greeting; one that knows only version 2, and not {}, does so, \
                     and takes an agent with --protocol-version 2",
                    self.newest
                );
            }
            // Whoever waits for an answer of this daemon will not get one, and may wait in vain for a
            // service that it was to start.
            self.callers.retain(|_, caller| !caller.unanswered());
            self.callers.values_mut().for_each(Caller::outlive_daemon);
            // Nor does anybody say any more whether a caller is still to come.
            let calls = self.calls.values();
            calls.for_each(|call| call.calling_off.call_off());
        }
    }

    /// Does all that can be done, then waits for more.
    fn turn(
        &mut self,
        daemon: &mut Daemon,
        ready: &mut impl FnMut(Version),
    ) -> Result<(), ControlError> {
        while let Some(incoming) = daemon.receive()? {
            match incoming {
                Incoming::Agreed(version) => {
                    tracing::info!("the daemon is there; version {version}");
                    ready(version);
                }
                Incoming::Message(message) => self.obey(message, daemon),
            }
        }
        daemon.flush()?;
        let open = daemon.version().is_some() && daemon.queued() < LINE_MAX;
        self.rests_until = self.rests_until.filter(|end| *end > Instant::now());
        let rests = self.rests_until.is_some();
        let listener = if open && !rests && self.callers.len() < CALLERS_MAX {
            Interest::Readable
        } else {
            Interest::Gone
        };
        let mut entries = vec![
            (daemon.fd(), Interest::Readable),
            (self.ended.fd(), Interest::Readable),
            (self.listener.as_fd(), listener),
        ];
        let numbers: Vec<u64> = self.callers.keys().copied().collect();
        for caller in self.callers.values() {
            let wanted = open || !caller.asking();
            entries.push((
                caller.fd(),
                if wanted {
                    Interest::Readable
                } else {
                    Interest::Gone
                },
            ));
        }
        let asking = self.callers.values().filter_map(Caller::asking_since);
        // Where the daemon takes nothing, nobody is heard, and nobody has to hurry.
        let silent = asking.min().filter(|_| open).map(|since| since + ASKING);
        let until = [self.rests_until, silent].into_iter().flatten().min();
        let seen = wait_for_any(&entries, until).map_err(ControlError::Wait)?;
        if seen[0].readable {
            daemon.acknowledge()?;
        }
        if seen[1].readable {
            self.settle(daemon);
        }
        if seen[2].readable && open && !rests {
            self.admit(daemon);
        }
        for (number, ready) in numbers.into_iter().zip(&seen[3..]) {
            if ready.readable || ready.gone {
                self.hear(number, daemon);
            }
        }
        if open {
            let late = Instant::now().checked_sub(ASKING);
            self.callers
                .retain(|_, caller| caller.asking_since().is_none_or(|since| Some(since) > late));
        }
        Ok(())
    }

    fn obey(&mut self, message: ToAgent, daemon: &mut Daemon) {
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

    fn settle(&mut self, daemon: &mut Daemon) {
        for ended in self.ended.take() {
            self.calls.remove(&ended.number);
            if ended.session == self.session {
                daemon.queue(&terminated(ended.route));
            }
        }
    }

    fn admit(&mut self, daemon: &mut Daemon) {
        while self.callers.len() < CALLERS_MAX && daemon.queued() < LINE_MAX {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    if let Ok(caller) = Caller::new(stream, Instant::now()) {
                        self.next_number += 1;
                        self.callers.insert(self.next_number, caller);
                        self.keep_few_asking(daemon);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::error!("cannot take a caller: {error}");
                    self.rests_until = Some(Instant::now() + REST);
                    return;
                }
            }
        }
    }

    /// Lets go of whoever has been speaking for the longest time, where too many are.
    fn keep_few_asking(&mut self, daemon: &mut Daemon) {
        let asking = || self.callers.iter().filter(|(_, caller)| caller.asking());
        if asking().count() <= ASKING_MAX {
            return;
        }
        // Numbers are in the order in which they came.
        let Some(first) = asking().next().map(|(number, _)| *number) else {
            return;
        };
        // It may have said all by now.
        self.hear(first, daemon);
        if self.callers.get(&first).is_some_and(Caller::asking) {
            self.callers.remove(&first);
        }
    }

    fn hear(&mut self, number: u64, daemon: &mut Daemon) {
        let Some(caller) = self.callers.get_mut(&number) else {
            return;
        };
        match caller.hear() {
            Heard::Nothing => {}
            Heard::Gone(route) => {
                self.callers.remove(&number);
                if let Some(route) = route {
                    daemon.queue(&terminated(route));
                }
            }
            Heard::Request(trigger) => {
                let ident = RequestId::numbered(number);
                match request(*trigger, &ident, daemon) {
                    Ok(()) => caller.wait_for(ident),
                    Err(reason) => {
                        tracing::warn!("a call was refused in the guest: {reason}");
                        self.callers.remove(&number);
                    }
                }
            }
        }
    }
}

/// Passes a request on, in the form that the daemon understands.
fn request(
    mut trigger: UntrustedTrigger,
    ident: &RequestId,
    daemon: &mut Daemon,
) -> Result<(), String> {
    let version = daemon.version().ok_or("no daemon is there")?;
    trigger.set_ident(ident);
    let frame = trigger.encode(version).map_err(|error| error.to_string())?;
    // Daemons other than ours take a message from the ring in one piece or not at all.
    if frame.len() - HEADER_LEN > CONTROL_RING {
        return Err(format!(
            "the request for {} does not fit the control channel",
            trigger.shown_service()
        ));
    }
    daemon.queue(&frame);
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
