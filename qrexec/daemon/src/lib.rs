// SPDX-License-Identifier: GPL-3.0-or-later
//! The process in dom0 that speaks with one domain's qrexec agent.
//!
//! It connects to the agent's control vchan, takes calls of dom0's programs on a socket, and decides
//! with the policy daemon about calls that the domain asks for. The data of a call never passes
//! through its loop: it flows over a vchan between the two ends.
//!
//! The loop ([`session`]) owns all state of a domain's session and never blocks. Whatever takes
//! time (asking policy, starting a target, running a service in dom0) happens in a thread per
//! request ([`request`]) that answers with a letter.
//!
//! Trusts the programs in dom0 that may reach its socket (the folder guards it), the policy daemon
//! and the domain manager. Never trusts the agent: each of its messages is checked, counted and
//! may only cost its own domain.
//!
//! Invariants:
//!
//! - No call runs without an answer of policy that allows it; no answer means refused.
//! - A violation ends this domain's session and nothing else; then the agent may come again.
//! - Requests, clients, ports and the line to the agent are bounded; past a bound the newcomer is
//!   refused, the rest goes on.
//! - Nothing is sent to an agent that does not fit into its control ring in one piece.
//! - A disposable that was made for a call is destroyed when the call has ended, however it ends.
#![forbid(unsafe_code)]

mod clients;
mod disposable;
mod manager;
mod policy;
mod request;
mod running;
mod session;
mod sockets;
mod terms;
mod trace;

pub mod detach;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, DomainName, DomainUuid, Layout, Port};
use bulkhead_vchan::{Endpoints, OpenError};
use nix::sys::signal::{SigSet, Signal};
use qrexec_protocol::version::{TooOld, Version};
use qrexec_relay::{Host, wait_for_any};
use thiserror::Error;

use crate::request::Desk;
use crate::session::{End, Session};

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
    /// The control vchan cannot be opened.
    #[error("cannot connect to the qrexec agent of {domain}")]
    Connect {
        /// The domain.
        domain: DomainName,
        /// What went wrong.
        source: OpenError,
    },
    /// The socket for dom0's programs cannot be made.
    #[error("cannot make the daemon's socket")]
    Socket(#[source] io::Error),
    /// Something that every process needs is missing.
    #[error("cannot set up the daemon")]
    SetUp(#[source] io::Error),
}

/// A session shorter than this is followed by a pause before the next.
const SHORT: Duration = Duration::from_secs(1);
/// The longest pause: calls are to be possible again within a second of the agent's return.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Serves the domain until a signal asks for the end. `ready` is called whenever an agent has
/// connected and the socket is there.
pub fn run(
    domain: Domain,
    options: Options,
    endpoints: Endpoints,
    mut ready: impl FnMut(Version),
) -> Result<(), DaemonError> {
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    let start_up = options.start_up;
    let host = Host::dom0(options.layout.root());
    let desk = Desk::new(domain, options, endpoints, host).map_err(DaemonError::SetUp)?;
    let desk = Arc::new(desk);
    let mut patience = start_up;
    let mut pause = Duration::from_millis(50);
    loop {
        // Without a session there is nothing to clear up, so a signal may end the process.
        signals
            .thread_unblock()
            .map_err(|errno| DaemonError::SetUp(errno.into()))?;
        let vchan = match desk
            .endpoints
            .connect(desk.domain.id, Port::QREXEC, patience)
        {
            Ok(vchan) => vchan,
            Err(OpenError::TimedOut { .. }) => {
                return Err(DaemonError::NoAgent(desk.domain.name.clone()));
            }
            Err(source) => {
                let domain = desk.domain.name.clone();
                return Err(DaemonError::Connect { domain, source });
            }
        };
        signals
            .thread_block()
            .map_err(|errno| DaemonError::SetUp(errno.into()))?;
        let began = Instant::now();
        let end = Session::new(Arc::clone(&desk), vchan)?.run(&signals, patience, &mut ready);
        match end {
            End::Signal => return Ok(()),
            End::TooOld(source) => {
                let domain = desk.domain.name.clone();
                return Err(DaemonError::TooOld { domain, source });
            }
            End::Lost { error, greeted } => {
                tracing::warn!("session with the agent of {}: {error}", desk.domain.name);
                if greeted {
                    patience = None;
                }
            }
        }
        // An agent that comes only to break the protocol must not keep dom0 busy.
        if began.elapsed() < SHORT {
            signals
                .thread_unblock()
                .map_err(|errno| DaemonError::SetUp(errno.into()))?;
            wait_for_any(&[], Some(Instant::now() + pause)).map_err(DaemonError::SetUp)?;
            pause = (pause * 2).min(PAUSE_MAX);
        } else {
            pause = Duration::from_millis(50);
        }
    }
}
