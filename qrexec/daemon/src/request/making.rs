// SPDX-License-Identifier: GPL-3.0-or-later
//! Making a call that was allowed: in another domain, in a new disposable, or in dom0.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bulkhead_admin::Destination;
use bulkhead_types::Port;
use qrexec_protocol::exec::{Exec, Mode, Route};
use qrexec_relay::{Channel, DaemonError, DaemonSocket, Orders, Post, Started, serve};

use super::{Desk, End, Letter, Meeting, Ticket};
use crate::disposable::Disposable;
use crate::manager;
use crate::running::Stop;
use crate::terms::{Place, Terms};
use crate::trace::Trace;

/// How long another daemon may take for its greeting or its answer.
const DAEMON_PATIENCE: Duration = Duration::from_secs(10);
/// How long a caller may take to open its data vchan for a service in dom0.
const CALLER_PATIENCE: Duration = Duration::from_secs(5);

/// A call that was made.
pub(super) enum Made {
    /// It is over; how it ended.
    Here(String),
    /// It runs in the domain of this daemon.
    Abroad(DaemonSocket, Route),
}

/// Makes a call that was allowed.
pub(super) fn make(
    desk: &Desk,
    terms: &Terms,
    trace: &mut Trace,
    ticket: &Ticket,
    post: &Post<Letter>,
) -> anyhow::Result<Made> {
    match &terms.place {
        Place::Dom0 => in_dom0(desk, terms, trace, ticket.clone(), post)
            .map(|code| Made::Here(format!("exit code {code}"))),
        Place::Domain(target) => {
            let mut daemon = reach(desk, target, terms.autostart)?;
            let route = start_there(desk, &mut daemon, terms)?;
            Ok(Made::Abroad(daemon, route))
        }
        Place::Disposable(template) => {
            let manager = desk.options.layout.admin_socket();
            let disposable = Disposable::start(manager, template.clone(), &desk.domain.name);
            let disposable = disposable.context("cannot start a disposable")?;
            let path = desk.socket(&disposable.destination());
            let mut daemon = DaemonSocket::connect(&path)?;
            let route = start_there(desk, &mut daemon, terms)?;
            trace.started();
            let (ours, theirs) = UnixStream::pair()?;
            trace.can_stop(Stop::Stream(theirs.try_clone()?));
            post.send(Letter::Connect {
                ticket: ticket.clone(),
                route,
                end: End::Tell(theirs),
            });
            disposable.outlast(&daemon, &ours);
            Ok(Made::Here("over".to_owned()))
        }
    }
}

/// Connects to the target's daemon, starting the target if that is allowed and needed.
fn reach(desk: &Desk, target: &Destination, autostart: bool) -> anyhow::Result<DaemonSocket> {
    let path = desk.socket(target);
    match DaemonSocket::connect(&path) {
        Err(DaemonError::Absent(_)) if autostart => {}
        result => return Ok(result?),
    }
    let manager = desk.options.layout.admin_socket();
    manager::start(&manager, target.clone()).with_context(|| format!("cannot start {target}"))?;
    Ok(DaemonSocket::connect(&path)?)
}

/// Asks the target's daemon for the service; its data is to flow to this daemon's domain.
fn start_there(desk: &Desk, daemon: &mut DaemonSocket, terms: &Terms) -> anyhow::Result<Route> {
    let route = Route {
        domain: desk.domain.id,
        port: Port(0),
    };
    let exec = Exec {
        mode: Mode::Attached,
        route,
        command: terms.command.clone(),
    };
    Ok(daemon.exec(&exec, DAEMON_PATIENCE)?)
}

/// Runs a service in dom0; its exit code.
fn in_dom0(
    desk: &Desk,
    terms: &Terms,
    trace: &mut Trace,
    ticket: Ticket,
    post: &Post<Letter>,
) -> anyhow::Result<i32> {
    let (answer, meeting) = mpsc::channel();
    post.send(Letter::Dom0 { ticket, answer });
    // The sender is dropped when the request has gone meanwhile, or no port is free.
    let Ok(Meeting { route, calling_off }) = meeting.recv() else {
        bail!("the caller has gone")
    };
    trace.started();
    let deadline = Instant::now() + CALLER_PATIENCE;
    let vchan = desk.endpoints.connect_unless(
        desk.domain.id,
        route.port,
        Some(CALLER_PATIENCE),
        calling_off.fd(),
    );
    let vchan = vchan.context("cannot connect to the caller")?;
    let mut channel = Channel::open(vchan, deadline).context("no handshake with the caller")?;
    trace.connected();
    let started = desk.host.start(&terms.command, Mode::Attached);
    if !trace.can_stop(stop(&started)?) {
        bail!("its permission has ended before it began");
    }
    let (left_over, result) = serve(&mut channel, started, Orders::None);
    let (sent, received) = channel.moved();
    trace.moved(sent, received);
    trace.first_byte(channel.first_byte());
    channel.finish();
    if let Some(mut process) = left_over {
        process.reap();
    }
    Ok(result?)
}

/// What ends a service of dom0.
fn stop(started: &Started) -> io::Result<Stop> {
    Ok(match started {
        Started::Program(program) => Stop::Process(program.process.fd().try_clone_to_owned()?),
        Started::Socket(stream, _) => Stop::Stream(UnixStream::from(stream.try_clone()?)),
        Started::Detached(_) | Started::Failed(..) => Stop::Nothing,
    })
}
