// SPDX-License-Identifier: GPL-3.0-or-later
//! The daemon's life: wait for the agent, serve it, wait for the next.

use std::time::Duration;

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{Endpoints, OpenError};
use gui_core::Limits;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use thiserror::Error;
use tracing::{info, warn};

use crate::session::{Session, SessionEnd, Turn};
use crate::x11::{DisplayError, X11};

/// How long one attempt to reach the agent lasts. Between attempts the display is looked
/// after, so that its events do not pile up.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long to stay away from an agent whose channel could not be opened, and from one
/// whose session ended by its own fault.
const PAUSE: u16 = 500;

/// Why the daemon cannot go on.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The display is gone.
    #[error(transparent)]
    Display(#[from] DisplayError),
    /// There is no transport to reach any domain by.
    #[error("cannot reach domain {0}")]
    Transport(DomId, #[source] OpenError),
    /// Waiting failed, which it does not on a sound system.
    #[error("cannot wait for events")]
    Poll(#[source] Errno),
}

/// Shows the windows of a domain until the display goes away.
///
/// `ready` is called each time an agent has connected and said its version.
pub fn serve(
    endpoints: &Endpoints,
    peer: DomId,
    display: &mut X11,
    limits: Limits,
    mut ready: impl FnMut(),
) -> Result<(), ServeError> {
    let mut complained = false;
    loop {
        let vchan = match endpoints.connect(peer, Port::GUI, Some(ATTEMPT)) {
            Ok(vchan) => vchan,
            Err(error @ (OpenError::NoXen { .. } | OpenError::Loopback(_))) => {
                return Err(ServeError::Transport(peer, error));
            }
            Err(error) => {
                if !matches!(error, OpenError::TimedOut { .. }) {
                    if !std::mem::replace(&mut complained, true) {
                        info!(%error, "the agent's channel cannot be opened yet");
                    }
                    pause(display)?;
                }
                display.events()?;
                continue;
            }
        };
        complained = false;
        let mut session = Session::new(endpoints, peer, vchan, limits);
        let end = run(&mut session, display, &mut ready)?;
        let gone = matches!(end, SessionEnd::AgentGone);
        session.end(display)?;
        if gone {
            info!("the agent is gone; waiting for it to come back");
        } else {
            warn!(error = %chain(&end), "the session is over; its windows are gone");
            pause(display)?;
        }
    }
}

fn run(
    session: &mut Session<'_>,
    display: &mut X11,
    ready: &mut impl FnMut(),
) -> Result<SessionEnd, ServeError> {
    let mut said = false;
    loop {
        let turn = match session.turn(display) {
            Ok(turn) => turn,
            Err(SessionEnd::Display(error)) if is_fatal(&error) => return Err(error.into()),
            Err(end) => return Ok(end),
        };
        if session.is_talking() && !said {
            said = true;
            ready();
        }
        let timeout = match turn {
            Turn::More => PollTimeout::ZERO,
            Turn::Done => PollTimeout::NONE,
        };
        let mut fds = [
            PollFd::new(session.vchan().fd(), PollFlags::POLLIN),
            PollFd::new(display.fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(ServeError::Poll(error)),
        }
        if fds[0].any().unwrap_or(true)
            && let Err(error) = session.vchan().acknowledge()
        {
            return Ok(SessionEnd::Channel(error.into()));
        }
    }
}

/// Memory and pages are a matter of one session; everything else of the whole display.
fn is_fatal(error: &DisplayError) -> bool {
    !matches!(error, DisplayError::Memory(_) | DisplayError::Pages(_))
}

fn pause(display: &X11) -> Result<(), ServeError> {
    let mut fds = [PollFd::new(display.fd(), PollFlags::empty())];
    match poll(&mut fds, PAUSE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(ServeError::Poll(error)),
    }
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
