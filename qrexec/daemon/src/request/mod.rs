// SPDX-License-Identifier: GPL-3.0-or-later
//! Carrying out one request of the domain, in a thread.

mod making;

use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use bulkhead_admin::Destination;
use bulkhead_types::escaped;
use bulkhead_vchan::Endpoints;
use qrexec_protocol::agent_link::Refusal;
use qrexec_protocol::exec::Route;
use qrexec_protocol::policy::{Answer, Question};
use qrexec_protocol::sanitize::service_for_log;
use qrexec_protocol::trigger::{CallRequest, RequestId};
use qrexec_relay::{CallingOff, DaemonError, DaemonSocket, Host, Pool, Post};

use crate::running::Watch;
use crate::terms::Terms;
use crate::trace::{Reporter, Trace};
use crate::turns::{Turn, Turns};
use crate::{Domain, Options, policy};
use making::{Made, make};

/// The most requests of one domain that are worked on at one time, over all its sessions.
const REQUESTS_MAX: usize = 1024;
const STACK: usize = 256 * 1024;

/// What requests need to know and share, over all sessions.
#[derive(Debug)]
pub(crate) struct Desk {
    pub domain: Domain,
    pub options: Options,
    pub endpoints: Endpoints,
    pub host: Host,
    reporter: Reporter,
    watch: Arc<Watch>,
    turns: Turns,
    at_work: AtomicUsize,
}

/// A request of one session. The agent may use an id again as soon as it has had an answer, so the id
/// alone does not say which request is meant.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub ident: RequestId,
    pub number: u64,
}

/// What becomes of a call's end.
#[derive(Debug)]
pub(crate) enum End {
    /// The target's daemon tells of it.
    Told(Box<(DaemonSocket, Trace)>),
    /// The stream is to be closed when the caller has gone; the thread waits for that.
    Tell(UnixStream),
}

/// What a request's thread tells the session.
#[derive(Debug)]
pub(crate) enum Letter {
    /// The call runs elsewhere: pass the route on to the caller.
    Connect {
        ticket: Ticket,
        route: Route,
        end: End,
    },
    /// The service runs in dom0: choose a port, pass it on, and say which.
    Dom0 {
        ticket: Ticket,
        answer: mpsc::Sender<Meeting>,
    },
    /// Policy wants this call in another domain ended, of whose number only the session knows.
    End(u64),
    /// The request is settled; if it has no answer yet, it is refused.
    Done { ticket: Ticket, why: Refusal },
}

/// Where a service in dom0 meets its caller.
#[derive(Debug)]
pub(crate) struct Meeting {
    pub route: Route,
    /// Tells that the caller has gone.
    pub calling_off: CallingOff,
}

impl Desk {
    pub fn new(
        domain: Domain,
        options: Options,
        endpoints: Endpoints,
        host: Host,
    ) -> io::Result<Self> {
        let reporter = Reporter::start(domain.name.clone(), options.layout.policy_socket())?;
        let calls = options.layout.policy_calls_socket();
        Ok(Self {
            watch: Arc::new(Watch::new(domain.name.clone(), calls)),
            domain,
            options,
            endpoints,
            host,
            reporter,
            turns: Turns::new(Pool::new("request", STACK)),
            at_work: AtomicUsize::new(0),
        })
    }

    fn socket(&self, target: &Destination) -> PathBuf {
        self.options.socket_dir.join(format!("qrexec.{target}"))
    }
}

struct AtWork(Arc<Desk>);

impl AtWork {
    fn begin(desk: &Arc<Desk>) -> Option<Self> {
        let before = desk.at_work.fetch_add(1, Ordering::Relaxed);
        let work = Self(Arc::clone(desk));
        (before < REQUESTS_MAX).then_some(work)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Says that a request is settled, when this is dropped.
struct Settling {
    ticket: Ticket,
    why: Refusal,
    post: Post<Letter>,
}

impl Drop for Settling {
    fn drop(&mut self) {
        let (ticket, why) = (self.ticket.clone(), self.why);
        self.post.send(Letter::Done { ticket, why });
    }
}

/// Begins to work on a request. Its end is posted in any case. An error means that too much is under
/// way.
pub(crate) fn begin(
    desk: &Arc<Desk>,
    request: CallRequest,
    number: u64,
    post: Post<Letter>,
) -> io::Result<()> {
    let too_many = || io::Error::other("too many requests at one time");
    let work = AtWork::begin(desk).ok_or_else(too_many)?;
    let begun = Instant::now();
    let bytes = request.service.to_string().len();
    let ident = request.ident.clone();
    let settling = Settling {
        ticket: Ticket { ident, number },
        // For one that never has its turn.
        why: Refusal::Busy,
        post,
    };
    desk.turns.take(bytes, move |turn| {
        let (desk, mut settling) = (&work.0, settling);
        settling.why = Refusal::Denied;
        let Settling { ticket, post, .. } = &settling;
        if let Err(error) = carry_out(desk, &request, begun, ticket, turn, post) {
            let busy = matches!(error.downcast_ref(), Some(DaemonError::Busy(_)));
            tracing::warn!(
                "{}: {} to {}: {error:#}",
                desk.domain.name,
                service_for_log(&request.service),
                shown(&request.target),
            );
            if busy || error.is::<OverQuota>() {
                settling.why = Refusal::Busy;
            }
        }
    })
}

/// Policy allows such calls, but not so many.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct OverQuota(String);

fn shown(target: &str) -> &str {
    if target.is_empty() {
        "@default"
    } else {
        target
    }
}

fn carry_out(
    desk: &Desk,
    request: &CallRequest,
    begun: Instant,
    ticket: &Ticket,
    turn: Turn,
    post: &Post<Letter>,
) -> anyhow::Result<()> {
    let source = &desk.domain.name;
    let question = Question {
        source: source.to_string(),
        intended_target: request.target.clone(),
        service_and_arg: request.service.to_string(),
        requested_source: Some(request.source.clone()).filter(|source| !source.is_empty()),
    };
    let call = format!(
        "{source}: {} to {}",
        service_for_log(&request.service),
        shown(&request.target)
    );
    let answer = policy::ask(&question, &desk.options);
    drop(turn);
    let allowed = match answer? {
        Answer::Allow(allowed) => allowed,
        Answer::Deny {
            reason, busy: true, ..
        } => {
            let reason = reason.unwrap_or_else(|| "too many calls".to_owned());
            return Err(OverQuota(escaped(&reason)).into());
        }
        Answer::Deny { reason, rule, .. } => {
            let why = reason
                .map(|reason| format!(": {}", escaped(&reason)))
                .unwrap_or_default();
            let rule = rule
                .map(|rule| format!(" ({})", escaped(&rule)))
                .unwrap_or_default();
            tracing::info!("{call}: denied{why}{rule}");
            return Ok(());
        }
    };
    tracing::info!("{call}: allowed, target {}", escaped(&allowed.target));
    let running = desk.watch.begin(allowed.record);
    let reporter = desk.reporter.clone();
    let mut trace = Trace::allowed(call, begun, allowed.record, reporter, running);
    let terms = Terms::new(request, source, &allowed).map_err(anyhow::Error::from);
    match terms.and_then(|terms| make(desk, &terms, &mut trace, ticket, post)) {
        Ok(Made::Here(how)) => trace.end(how),
        Ok(Made::Abroad(daemon, route)) => {
            trace.started();
            let (ticket, end) = (ticket.clone(), End::Told(Box::new((daemon, trace))));
            post.send(Letter::Connect { ticket, route, end });
        }
        Err(error) => {
            trace.end(format!("failed: {error:#}"));
            return Err(error);
        }
    }
    Ok(())
}
