// SPDX-License-Identifier: GPL-3.0-or-later
//! The confined process that reads what the guest's agent sends, for one session.
//!
//! It opens the agent's control channel, gives everything up, and only then looks at the first byte.
//! Messages that pass every check go to the daemon as [`Word`]s; frames of the daemon go to the agent.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;

use bulkhead_confinement::{ConfineError, Role, begin, confine};
use bulkhead_types::Port;
use bulkhead_vchan::{Endpoints, OpenError, Vchan};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use qrexec_protocol::agent_link::{FromAgent, Refusal, ToDaemon, refused};
use qrexec_protocol::frame::{Incoming, Violation};
use qrexec_protocol::limits::CONTROL_RING;
use qrexec_relay::{Control, ControlError, Interest, wait_for_any};
use thiserror::Error;

use crate::Domain;
use crate::line::{Line, LineError, Word};

/// How the process is called in lists of processes.
pub(crate) const NAME: &CStr = c"qrexec-session";
/// Where the log is this long, the process writes no more to it.
const LOG_MAX: u64 = 64 << 20;
/// While more than this waits for one side, the other is not read.
const LINE_MAX: usize = 2 * CONTROL_RING;

/// Why no session can be had, neither now nor with another process.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The control vchan cannot be opened.
    #[error("cannot connect to the qrexec agent")]
    Connect(#[from] OpenError),
    /// The process cannot be confined, so it must not listen.
    #[error("cannot confine the process that reads what the guest sends")]
    Confine(#[from] ConfineError),
    /// The log would have no end.
    #[error("cannot bound what is written to the log")]
    Log(#[source] io::Error),
    /// The daemon cannot be reached.
    #[error("cannot use the line to the daemon")]
    Line(#[source] io::Error),
}

/// Waits for the agent of `domain`, is confined, and passes on what it says until it is gone.
///
/// Standard input leads to the daemon, which is the process `parent`.
pub fn read_guest(domain: &Domain, endpoints: &Endpoints, parent: Pid) -> Result<(), ReadError> {
    begin(NAME, parent)?;
    bound_log().map_err(ReadError::Log)?;
    let stream = io::stdin().as_fd().try_clone_to_owned();
    let stream = stream.map(UnixStream::from).map_err(ReadError::Line)?;
    let line = Line::new(stream).map_err(ReadError::Line)?;
    let mut vchan = endpoints.connect(domain.id, Port::QREXEC, None)?;
    vchan.keep_to_itself();
    let report = confine(Role::Control, parent)?;
    tracing::info!("confined: {report}");
    read(domain, vchan, line);
    Ok(())
}

/// Whoever takes this process over finds the log open, to which the limits of [`crate::log`] are nothing:
/// then the kernel has to know one.
fn bound_log() -> io::Result<()> {
    // A write past the limit is to fail, and not to end the process.
    SigSet::from(Signal::SIGXFSZ).thread_block()?;
    setrlimit(Resource::RLIMIT_FSIZE, LOG_MAX, LOG_MAX)?;
    Ok(())
}

/// Does the same on a thread of the daemon, whose end of the line is given, and is not confined.
///
/// For plain sockets, which isolate nothing: other programs that use them wait for a daemon to have
/// no child.
pub(crate) fn read_on_thread(domain: Domain, endpoints: Endpoints) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    let line = Line::new(theirs)?;
    thread::Builder::new().name("guest".into()).spawn(move || {
        // They are the session's to handle.
        if let Err(errno) = SigSet::all().thread_block() {
            return tracing::error!("cannot block signals: {errno}");
        }
        match endpoints.connect(domain.id, Port::QREXEC, None) {
            Ok(vchan) => {
                tracing::warn!("not confined: plain sockets are for trials and isolate nothing");
                read(&domain, vchan, line);
            }
            Err(error) => {
                tracing::error!("cannot connect to the qrexec agent: {error}");
                line.close();
            }
        }
    })?;
    Ok(ours)
}

fn read(domain: &Domain, vchan: Vchan, mut line: Line) {
    line.queue(&Word::Met.encode());
    let mut agent = Control::new(vchan);
    let end = loop {
        if let Err(end) = turn(domain, &mut agent, &mut line) {
            break end;
        }
    };
    let mut too_old = None;
    if let TurnError::Control(error) = &end {
        if let ControlError::Violation(Violation::TooOld(versions)) = error {
            too_old = Some(*versions);
        }
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
        let cause = cause.unwrap_or_default();
        tracing::warn!("session with the agent of {}: {error}{cause}", domain.name);
    }
    // Dom0 is told first: then nobody there can reach this session, and the agent may still speak.
    line.queue(&Word::Over(too_old).encode());
    let _ = line.flush();
    line.close();
    agent.finish();
}

#[derive(Debug, Error)]
enum TurnError {
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Line(#[from] LineError),
    #[error(transparent)]
    Wait(#[from] io::Error),
}

/// Does all that can be done, then waits for more.
fn turn(domain: &Domain, agent: &mut Control<FromAgent>, line: &mut Line) -> Result<(), TurnError> {
    let mut more = true;
    while more && line.queued() < LINE_MAX && agent.queued() < LINE_MAX {
        match agent.receive()? {
            None => more = false,
            Some(Incoming::Agreed(version)) => line.queue(&Word::Greeted(version).encode()),
            Some(Incoming::Message(ToDaemon::Terminated(route))) => {
                line.queue(&Word::Terminated(route).encode());
            }
            Some(Incoming::Message(ToDaemon::Trigger(trigger))) => match trigger.check() {
                Ok(request) => line.queue(&Word::Request(request).encode()),
                Err(bad) => {
                    tracing::warn!("{}: a request was refused: {bad}", domain.name);
                    agent.queue(&refused(&bad.ident, Refusal::Denied));
                }
            },
        }
    }
    while agent.queued() < LINE_MAX
        && let Some(frames) = line.read()?
    {
        agent.queue(&frames);
    }
    agent.flush()?;
    line.flush()?;
    if more && line.queued() < LINE_MAX && agent.queued() < LINE_MAX {
        // There is room again for what has come already, of which nothing else would tell.
        return Ok(());
    }
    // Where one side is not read any more, only the other one's progress matters.
    let quiet = |full: bool| {
        if full {
            Interest::Gone
        } else {
            Interest::Readable
        }
    };
    let mut entries = vec![
        (agent.fd(), Interest::Readable),
        (line.fd(), quiet(agent.queued() >= LINE_MAX)),
    ];
    if line.queued() > 0 {
        entries.push((line.fd(), Interest::Writable));
    }
    let seen = wait_for_any(&entries, None)?;
    if seen[1].gone {
        return Err(LineError::Ended.into());
    }
    if seen[0].readable {
        agent.acknowledge().map_err(TurnError::Control)?;
    }
    Ok(())
}
