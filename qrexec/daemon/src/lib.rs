// SPDX-License-Identifier: GPL-3.0-or-later
//! The process in dom0 that speaks with one domain's qrexec agent.
//!
//! It connects to the agent's control vchan, takes calls of dom0's programs on a socket, and decides
//! with the policy daemon about calls that the domain asks for. The data of a call never passes
//! through its loop: it flows over a vchan between the two ends.
//!
//! They are two processes. The daemon has sockets, files and the right to start things; it starts
//! itself again as `qrexec-session` ([`read_guest`]), which opens the control vchan, is confined, and
//! only then reads the guest's first byte. Checked words go from there to the daemon, frames for the
//! agent go back. The data of a call that a service of dom0 serves is still read by a thread of the
//! daemon, and that of a call of dom0's program by that program.
//!
//! The loop ([`session`]) owns all state of a domain's session and never blocks. Whatever takes
//! time (asking policy, starting a target, running a service in dom0) happens in a thread per
//! request ([`request`]) that answers with a letter.
//!
//! Trusts the programs in dom0 that may reach its socket (the folder guards it), the policy daemon
//! and the domain manager. Never trusts the agent: each of its messages is checked, counted and
//! may only cost its own domain. Nor does it trust the process that reads the agent: whatever that
//! says is checked again.
//!
//! Invariants:
//!
//! - Who reads control messages of the guest is confined before the first byte; where that fails, the
//!   daemon ends.
//! - No call runs without an answer of policy that allows it; no answer means refused.
//! - A violation ends this domain's session and nothing else; then the agent may come again.
//! - Requests, clients, ports and the line to the agent are bounded; past a bound the newcomer is
//!   refused, the rest goes on.
//! - Nothing is sent to an agent that does not fit into its control ring in one piece.
//! - What a guest does fills no log: past so many lines they are counted.
//! - A disposable that was made for a call is destroyed when the call has ended, however it ends.
#![forbid(unsafe_code)]

mod clients;
mod disposable;
mod guest_reader;
mod line;
mod manager;
mod policy;
mod reader;
mod request;
mod running;
mod session;
mod signals;
mod sockets;
mod terms;
mod trace;
mod turns;

pub mod detach;
pub mod log;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, DomainName, DomainUuid, Layout};
use bulkhead_vchan::{Endpoints, OpenError, Transport};
use qrexec_protocol::version::{TooOld, Version};
use qrexec_relay::{Host, wait_for_any};
use thiserror::Error;

pub use crate::guest_reader::{ReadError, read_guest};
use crate::reader::{Met, Reader};
use crate::request::Desk;
use crate::session::{End, Session};
use crate::signals::Signals;

/// The domain that a daemon serves.
#[derive(Clone, Debug)]
pub struct Domain {
    /// Its number in Xen.
    pub id: DomId,
    /// Its name.
    pub name: DomainName,
    /// Its UUID.
    pub uuid: DomainUuid,
    /// Who runs a service when nobody else is named.
    pub default_user: String,
}

/// What the command line and the environment say.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the daemons' sockets stand.
    pub socket_dir: PathBuf,
    /// A program to ask when the policy daemon does not answer; without one, no answer is a refusal.
    pub policy_program: Option<PathBuf>,
    /// Where policy daemon and domain manager are.
    pub layout: Layout,
    /// How long the agent may take to come at the beginning; `None` waits for ever.
    pub start_up: Option<Duration>,
}

/// Why the daemon ends.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The agent did not come in time.
    #[error("the qrexec agent of {0} did not connect in time")]
    NoAgent(DomainName),
    /// The agent speaks no version that we know. Another one may come when the domain is started again.
    #[error("the qrexec agent of {domain} is too old")]
    TooOld {
        /// The domain.
        domain: DomainName,
        /// Both versions.
        source: TooOld,
    },
    /// The end of the domain would not be noticed.
    #[error("cannot watch for the end of {domain}")]
    Watch {
        /// The domain.
        domain: DomainName,
        /// What went wrong.
        source: OpenError,
    },
    /// The process that is to read the guest says why in its own words.
    #[error("what reads what {domain} sends cannot work{}", ended(status.as_ref()))]
    Reader {
        /// The domain.
        domain: DomainName,
        /// How it ended; `None` for a thread.
        status: Option<ExitStatus>,
    },
    /// The socket for dom0's programs cannot be made.
    #[error("cannot make the daemon's socket")]
    Socket(#[source] io::Error),
    /// Something that every process needs is missing.
    #[error("cannot set up the daemon")]
    SetUp(#[source] io::Error),
}

fn ended(status: Option<&ExitStatus>) -> String {
    status.map_or_else(String::new, |status| format!(" ({status})"))
}

/// A session shorter than this is followed by a pause before the next.
const SHORT: Duration = Duration::from_secs(1);
/// The longest pause. The guest's callers stand in line meanwhile, and are to have an answer or an error
/// within a second; five processes a second are what a hostile agent can have started.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Serves the domain until a signal asks for the end. `ready` is called whenever an agent has
/// connected and the socket is there. `arguments` are those of this program, which is started again
/// to read what the guest sends ([`read_guest`]).
pub fn run(
    domain: Domain,
    options: Options,
    endpoints: Endpoints,
    arguments: &[String],
    mut ready: impl FnMut(Version),
) -> Result<(), DaemonError> {
    // Without a session there is nothing to clear up, so a signal may end the process.
    let signals = Signals::listen().map_err(DaemonError::SetUp)?;
    let start_up = options.start_up;
    let host = Host::dom0(options.layout.root());
    let desk = Desk::new(domain, options, endpoints, host).map_err(DaemonError::SetUp)?;
    let desk = Arc::new(desk);
    let mut watch = desk.endpoints.watch(desk.domain.id).map_err(|source| {
        let domain = desk.domain.name.clone();
        DaemonError::Watch { domain, source }
    })?;
    let mut patience = start_up;
    let mut pause = Duration::from_millis(50);
    let mut left = Vec::new();
    loop {
        let agent = match desk.endpoints.transport() {
            Transport::Socket(_) => Reader::on_thread(&desk.domain, &desk.endpoints),
            Transport::Xen | Transport::Local(_) => Reader::start(arguments),
        };
        let mut agent = agent.map_err(DaemonError::SetUp)?;
        match agent.meet(patience).map_err(DaemonError::SetUp)? {
            Met::Agent => {}
            Met::Nobody => return Err(DaemonError::NoAgent(desk.domain.name.clone())),
            Met::Failure(status) => {
                let domain = desk.domain.name.clone();
                return Err(DaemonError::Reader { domain, status });
            }
        }
        signals.hold();
        let began = Instant::now();
        let session = Session::new(Arc::clone(&desk), agent, std::mem::take(&mut left))?;
        let end = session.run(signals.fd(), &mut watch, patience, &mut ready);
        let asked = signals.let_go().map_err(DaemonError::SetUp)?;
        match end {
            End::Signal => return Ok(()),
            _ if asked => return Ok(()),
            End::TooOld(source) => {
                let domain = desk.domain.name.clone();
                return Err(DaemonError::TooOld { domain, source });
            }
            End::Over { greeted, running } => {
                left = running;
                if greeted {
                    patience = None;
                }
            }
        }
        // An agent that comes only to break the protocol must not keep dom0 busy.
        if began.elapsed() < SHORT {
            wait_for_any(&[], Some(Instant::now() + pause)).map_err(DaemonError::SetUp)?;
            pause = (pause * 2).min(PAUSE_MAX);
        } else {
            pause = Duration::from_millis(50);
        }
    }
}
