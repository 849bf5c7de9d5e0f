// SPDX-License-Identifier: GPL-3.0-or-later
//! The process that starts sessions and does for them what they may not.
//!
//! A session reads a guest's bytes and is confined before the first one. What it needs
//! privileges for, finding the pages of its guest, happens here; so does ending it when the
//! guest's domain is gone, since it may not ask. When a session has ended, whatever the
//! reason, everything of it is gone, and the next one begins with nothing.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bulkhead_confinement::{SessionProcess, Start};
use bulkhead_types::DomId;
use bulkhead_vchan::{Endpoints, OpenError, PeerWatch};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use thiserror::Error;
use tracing::{info, warn};

use crate::errand::{Errand, FromSession};

/// How a session is called in lists of processes.
pub const SESSION_NAME: &CStr = c"gui-session";
/// How long to wait after a session that ended by its guest's fault, and after one that was
/// over at once.
const PAUSE: Duration = Duration::from_millis(500);
const SHORT: Duration = Duration::from_secs(1);

/// How a session's process ends, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// The agent left; it may come again.
    AgentGone = 0,
    /// There is nothing to go on with.
    Hopeless = 1,
    /// The guest broke a rule.
    Fault = 3,
}

/// Why the launcher cannot go on.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// A process cannot be started.
    #[error("cannot start a session")]
    Start(#[source] io::Error),
    /// The end of the domain would not be noticed.
    #[error("cannot watch for the end of domain {0}")]
    Watch(DomId, #[source] OpenError),
    /// The session says why in its own words.
    #[error("the session cannot go on ({0})")]
    Hopeless(ExitStatus),
    /// Waiting failed, which it does not on a sound system.
    #[error("cannot wait for events")]
    Poll(#[source] Errno),
}

/// Runs one session of `peer` after the other. `arguments` are a session's; `ready` is called
/// each time an agent has connected and said its version.
pub fn launch(
    endpoints: &Endpoints,
    peer: DomId,
    arguments: &[String],
    mut ready: impl FnMut(),
) -> Result<std::convert::Infallible, LaunchError> {
    let failed = |error| LaunchError::Watch(peer, error);
    let mut watch = endpoints.watch(peer).map_err(failed)?;
    loop {
        let began = Instant::now();
        let (mut process, line) = SessionProcess::start(Start {
            name: SESSION_NAME,
            arguments,
            environment: &[],
            output: None,
        })
        .map_err(LaunchError::Start)?;
        let mut line = FromSession::new(line).map_err(LaunchError::Start)?;
        let patience = match attend(endpoints, peer, &mut line, &mut watch, &mut ready)? {
            Left::Session => SHORT,
            Left::Guest => Duration::ZERO,
        };
        let status = process.end(patience).map_err(LaunchError::Start)?;
        match status.code() {
            Some(code) if code == Ending::Hopeless as i32 => {
                return Err(LaunchError::Hopeless(status));
            }
            Some(code) if code == Ending::AgentGone as i32 => {
                if began.elapsed() < SHORT {
                    sleep(PAUSE);
                }
            }
            _ => {
                info!(%status, "the session is over");
                sleep(PAUSE);
            }
        }
    }
}

/// Who left.
enum Left {
    /// The session; its process is about to end.
    Session,
    /// The whole domain, of which the session does not hear.
    Guest,
}

/// Runs a session's errands until it or its guest is gone.
fn attend(
    endpoints: &Endpoints,
    peer: DomId,
    line: &mut FromSession,
    watch: &mut PeerWatch,
    ready: &mut impl FnMut(),
) -> Result<Left, LaunchError> {
    loop {
        let mut fds = vec![PollFd::new(line.as_fd(), PollFlags::POLLIN)];
        fds.extend(watch.fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(LaunchError::Poll(error)),
        }
        let [asked, news] = [0, 1].map(|n| fds.get(n).is_some_and(|fd| fd.any() == Some(true)));
        if news
            && watch
                .is_gone()
                .map_err(|error| LaunchError::Watch(peer, error))?
        {
            info!("the domain is gone, and its session with it");
            return Ok(Left::Guest);
        }
        if asked && !serve(endpoints, peer, line, ready) {
            return Ok(Left::Session);
        }
    }
}

/// Runs an errand. Returns false when there will be no other one.
fn serve(
    endpoints: &Endpoints,
    peer: DomId,
    line: &mut FromSession,
    ready: &mut impl FnMut(),
) -> bool {
    let done = match line.next() {
        Ok(Errand::Ready) => {
            ready();
            Ok(())
        }
        Ok(Errand::Pages(references)) => {
            let held = endpoints.hold(peer, &references);
            if let Err(error) = &held {
                warn!(%error, "a window's pages are not shared");
            }
            line.answer(held.as_ref().ok())
        }
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        Err(error) => {
            warn!(%error, "the session asks what no session asks");
            false
        }
    }
}
