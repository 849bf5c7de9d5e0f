// SPDX-License-Identifier: GPL-3.0-or-later
//! The agent's loop, and what it keeps of its callers and calls.

mod admission;
mod orders;

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
use qrexec_protocol::agent_link::FromDaemon;
use qrexec_protocol::exec::Route;
use qrexec_protocol::frame::{Incoming, hello};
use qrexec_protocol::limits::CONTROL_RING;
use qrexec_protocol::version::Version;
use qrexec_relay::{
    CallingOff, Control, ControlError, Host, Interest, Mailbox, Pool, wait_for_any,
};
use thiserror::Error;

use crate::callers::Caller;
use crate::calls::{Ended, Runner};
use crate::carry_out::STACK;
use crate::session::Sessions;

/// The most local programs that may have a call or a request at one time.
const CALLERS_MAX: usize = 2048;
/// How long a local program may take to say what it asks for.
const ASKING: Duration = Duration::from_secs(10);
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
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
