// SPDX-License-Identifier: GPL-3.0-or-later
//! A session's life: wait for the agent, give everything up, serve it, end.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use bulkhead_confinement::{ConfineError, Role, confine};
use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{Endpoints, OpenError, Vchan};
use gui_core::Limits;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use thiserror::Error;
use tracing::{info, warn};

use crate::errand::ToLauncher;
use crate::launcher::Ending;
use crate::session::{Session, SessionEnd, Turn};
use crate::x11::{DisplayError, X11};

/// How long one attempt to reach the agent lasts. Between attempts the display is looked
/// after, so that its events do not pile up.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How long to stay away from an agent whose channel could not be opened, in milliseconds.
const PAUSE: u16 = 500;

/// Why a session's process cannot go on, and no other one either.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The display is gone.
    #[error(transparent)]
    Display(#[from] DisplayError),
    /// There is no transport to reach any domain by.
    #[error("cannot reach domain {0}")]
    Transport(DomId, #[source] OpenError),
    /// The process cannot be confined, so it must not listen.
    #[error("cannot confine the process that reads what the guest sends")]
    Confine(#[from] ConfineError),
    /// Waiting failed, which it does not on a sound system.
    #[error("cannot wait for events")]
    Poll(#[source] Errno),
}

/// Waits for the agent of domain `peer`, is confined, and shows its windows until it is gone.
///
/// `launcher` leads to the process `parent`, which started this one.
pub fn serve(
    endpoints: &Endpoints,
    peer: DomId,
    mut launcher: ToLauncher,
    parent: Pid,
    display: &mut X11,
) -> Result<Ending, ServeError> {
    let mut vchan = meet(endpoints, peer, display)?;
    vchan.keep_to_itself();
    // From here on what the guest sends is read.
    let confined = confine(Role::Windows, parent)?;
    info!("confined: {confined}");
    let mut session = Session::new(peer, vchan, Limits::default());
    let end = run(&mut session, display, &mut launcher)?;
    Ok(match end {
        SessionEnd::AgentGone => {
            info!("the agent is gone; waiting for it to come back");
            Ending::AgentGone
        }
        end => {
            warn!(error = %chain(&end), "the session is over; its windows are gone");
            Ending::Fault
        }
    })
}

/// Waits for the agent's channel.
fn meet(endpoints: &Endpoints, peer: DomId, display: &mut X11) -> Result<Vchan, ServeError> {
    let mut complained = false;
    loop {
        match endpoints.connect(peer, Port::GUI, Some(ATTEMPT)) {
            Ok(vchan) => return Ok(vchan),
            Err(error @ (OpenError::NoXen { .. } | OpenError::Loopback(_))) => {
                return Err(ServeError::Transport(peer, error));
            }
            Err(OpenError::TimedOut { .. }) => {}
            Err(error) => {
                if !std::mem::replace(&mut complained, true) {
                    info!(%error, "the agent's channel cannot be opened yet");
                }
                pause(display)?;
            }
        }
        display.events()?;
    }
}

fn run(
    session: &mut Session,
    display: &mut X11,
    launcher: &mut ToLauncher,
) -> Result<SessionEnd, ServeError> {
    let mut said = false;
    loop {
        let turn = match session.turn(display, launcher) {
            Ok(turn) => turn,
            Err(SessionEnd::Display(error)) if is_fatal(&error) => return Err(error.into()),
            Err(end) => return Ok(end),
        };
        if session.is_talking() && !said {
            said = true;
            if let Err(error) = launcher.ready() {
                return Ok(SessionEnd::Launcher(error));
            }
        }
        let timeout = match turn {
            Turn::More => PollTimeout::ZERO,
            Turn::Done => PollTimeout::NONE,
        };
        let mut fds = [
            PollFd::new(session.vchan().fd(), PollFlags::POLLIN),
            PollFd::new(display.fd(), PollFlags::POLLIN),
            // It says nothing unasked; what may be seen is that it is gone.
            PollFd::new(launcher.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(ServeError::Poll(error)),
        }
        if fds[2].any().unwrap_or(true) {
            return Ok(SessionEnd::Launcher(io::ErrorKind::UnexpectedEof.into()));
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
