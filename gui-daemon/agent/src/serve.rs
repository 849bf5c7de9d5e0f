// SPDX-License-Identifier: GPL-3.0-or-later
//! The agent's life: an X server and a daemon, either of which may go and come back.

use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::Duration;

use bulkhead_types::DomId;
use bulkhead_vchan::{Endpoints, OpenError};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use thiserror::Error;
use tracing::{info, warn};
use x11rb::connection::Connection;

use crate::desktop::{Desktop, Lost};
use crate::link::{Heard, LinkError};

/// How long to wait before the X server is looked for again.
const RETRY: Duration = Duration::from_millis(200);

/// Why the agent cannot go on.
#[derive(Debug, Error)]
pub enum AgentError {
    /// No channel can be offered.
    #[error("cannot serve the windows' channel")]
    Serve(#[from] OpenError),
    /// The X server lacks something for good, or somebody else manages its windows.
    #[error("cannot use the X server: {0}")]
    Unusable(String),
    /// Waiting failed, which it does not on a sound system.
    #[error("cannot wait for events")]
    Poll(#[source] Errno),
}

/// Shares the windows of an X server (`None`: that of the environment) with the daemon in
/// domain `peer`, for as long as there is a transport.
pub fn serve(endpoints: &Endpoints, peer: DomId, display: Option<&str>) -> Result<(), AgentError> {
    let mut waited = false;
    loop {
        let mut desktop = match Desktop::take_over(display, endpoints, peer) {
            Ok(desktop) => desktop,
            Err(Lost::Unreachable(error)) => {
                if !waited {
                    info!(%error, "waiting for the X server");
                }
                waited = true;
                sleep(RETRY);
                continue;
            }
            Err(error @ (Lost::NotAlone | Lost::Missing(_))) => {
                return Err(AgentError::Unusable(error.to_string()));
            }
            Err(Lost::Serve(error)) => return Err((*error).into()),
            Err(error) => {
                warn!(%error, "cannot take the X server over");
                sleep(RETRY);
                continue;
            }
        };
        waited = false;
        match run(&mut desktop) {
            Err(Stop::Display(error)) => warn!(%error, "waiting for the X server to come back"),
            Err(Stop::Agent(error)) => return Err(error),
            Ok(never) => match never {},
        }
    }
}

enum Stop {
    Display(Lost),
    Agent(AgentError),
}

impl From<Lost> for Stop {
    fn from(error: Lost) -> Self {
        Self::Display(error)
    }
}

fn run(desktop: &mut Desktop) -> Result<std::convert::Infallible, Stop> {
    desktop.adopt()?;
    // An agent before this one may have been ended in the middle of a word.
    desktop.let_go()?;
    loop {
        let more = match turn(desktop)? {
            Ok(more) => more,
            Err(error) => {
                warn!(%error, "waiting for the daemon to come back");
                desktop.let_go()?;
                let again = desktop.link.serve_again();
                again.map_err(|error| Stop::Agent(error.into()))?;
                desktop.leaving.clear();
                true
            }
        };
        desktop.conn.flush().map_err(Lost::from)?;
        let more = more || desktop.has_events()?;
        let timeout = if more {
            PollTimeout::ZERO
        } else {
            PollTimeout::NONE
        };
        let x = PollFd::new(desktop.conn.stream().as_fd(), PollFlags::POLLIN);
        let Some(vchan) = desktop.link.vchan() else {
            continue;
        };
        let mut fds = [PollFd::new(vchan.fd(), PollFlags::POLLIN), x];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Stop::Agent(AgentError::Poll(error))),
        }
        if fds[0].any().unwrap_or(true)
            && let Err(error) = vchan.acknowledge()
        {
            warn!(%error, "the channel to the daemon failed");
        }
    }
}

/// Takes what has happened on both sides. The inner result is the daemon's, the outer
/// one the X server's.
fn turn(desktop: &mut Desktop) -> Result<Result<bool, LinkError>, Lost> {
    let mut heard = Vec::new();
    let more = desktop.link.hear(&mut heard);
    for heard in heard {
        match heard {
            Heard::Connected(screen) => {
                info!(screen.width, screen.height, "the daemon is connected");
                // It wants to see what is there, and then what has happened since.
                desktop.announce_all()?;
            }
            Heard::Message(window, message) => desktop.obey(window.0, message)?,
        }
    }
    desktop.conn.flush()?;
    desktop.events()?;
    desktop.capture()?;
    Ok(more.and_then(|more| desktop.link.flush().map(|()| more)))
}
