// SPDX-License-Identifier: GPL-3.0-or-later
//! The daemon: its sockets and its life.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_types::Layout;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use policy_ledger::{KeyError, Ledger, LedgerError, SealKey};
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::administer::administer;
use crate::announcer::Announcer;
use crate::book::{Book, keep_sealed};
use crate::clock::{Moment, boot_id};
use crate::control::control_socket;
use crate::grants::GrantsFile;
use crate::report::{BadReport, Report};
use crate::settings::Settings;
use crate::socket::{Socket, accept};
use crate::state::{Shared, State};
use crate::status::status_socket;
use crate::system::Doorbell;
use crate::tellers::hear_tellers;
use crate::under_way::keep_looking;
use crate::wire::{BadQuestion, QUESTION_MAX, Question};
use crate::{evaluation, prompts, reload, report, system};

/// How long one asker may take for its question, and for reading the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many askers are served at once; further ones wait to be accepted.
const ASKERS_MAX: usize = 1024;
/// How many refusals of a flood are held back at once; further ones leave at once.
const HELD_MAX: usize = 4096;
/// For all of them, and what else is open.
const DESCRIPTORS: u64 = 8192;

/// Why the daemon cannot run.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The ledger cannot be written.
    #[error("cannot keep the ledger")]
    Ledger(#[from] LedgerError),
    /// The ledger cannot be sealed.
    #[error("cannot seal the ledger")]
    Key(#[from] KeyError),
    /// A socket cannot be made.
    #[error("cannot listen on `{path}`")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There are too few descriptors.
    #[error("cannot ask for enough descriptors")]
    Descriptors(#[source] io::Error),
    /// Changes of the policy cannot be watched.
    #[error("cannot watch the policy's files")]
    Watch(#[source] io::Error),
    /// The service manager cannot be told anything.
    #[error("cannot start a thread")]
    Announcer(#[source] io::Error),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals")]
    Signals(#[source] io::Error),
}

/// Serves until SIGTERM or SIGINT. Says `READY=1` when the sockets are there and the policy
/// has been read, in whatever state it is.
///
/// # Errors
///
/// Only what keeps the daemon from working at all; faults of a policy or an asker do not.
pub async fn run(layout: Layout) -> Result<(), ServeError> {
    allow_many_descriptors().map_err(ServeError::Descriptors)?;
    // The ledger's lock also keeps a second daemon from the sockets.
    let key = SealKey::load_or_make(&layout.seal_key())?;
    let limits = Settings::default().ledger.limits();
    let ledger = Ledger::open(&layout.ledger(), key, limits, &boot_id())?;
    let grants = layout.runtime().join("policy-grants.json");
    let grants = GrantsFile::new(grants, boot_id());
    let announcer = Announcer::start().map_err(ServeError::Announcer)?;
    let state = State::new(Book::new(ledger), grants, announcer);
    let state: Shared = Rc::new(RefCell::new(state));
    let questions = Socket::bind(layout.policy_socket(), 0o660)?;
    let statuses = Socket::bind(status_socket(&layout), 0o660)?;
    let calls = Socket::bind(layout.policy_calls_socket(), 0o660)?;
    let controls = Socket::bind(control_socket(&layout), 0o600)?;
    let mut evaluations = Vec::new();
    for service in evaluation::Service::ALL {
        evaluations.push((service, service.bind(&layout)?));
    }
    let again = reload::Again::new();
    let mut term = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut int = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let local = LocalSet::new();
    let serve = async {
        let (loaded, first) = tokio::sync::oneshot::channel();
        let bell = Rc::new(Doorbell::default());
        let asking = Asking {
            state: state.clone(),
            bell: bell.clone(),
            agent: layout.policy_agent_socket(),
            held: Semaphore::new(HELD_MAX),
        };
        spawn_local(answer_questions(questions.listener()?, Rc::new(asking)));
        let agent = layout.policy_agent_socket();
        spawn_local(tell_status(statuses.listener()?, agent, state.clone()));
        spawn_local(keep_sealed(state.clone()));
        spawn_local(keep_looking(state.clone()));
        spawn_local(hear_tellers(calls.listener()?, state.clone()));
        for (service, socket) in &evaluations {
            let (listener, state) = (socket.listener()?, state.clone());
            spawn_local(evaluation::answer_callers(*service, listener, state));
        }
        spawn_local(administer(
            controls.listener()?,
            state.clone(),
            again.clone(),
        ));
        let watched = state.clone();
        let internal = layout.internal_socket();
        spawn_local(async move { system::watch(&internal, &watched, &bell).await });
        let told = state.clone();
        spawn_local(async move {
            if first.await.is_ok() {
                told.borrow().announcer.ready();
                info!("ready");
            }
        });
        let policy = reload::keep_loaded(&layout, &state, &again, loaded);
        tokio::select! {
            ended = policy => ended.map_err(ServeError::Watch),
            _ = term.recv() => Ok(()),
            _ = int.recv() => Ok(()),
        }
    };
    let ended = local.run_until(serve).await;
    // The tasks go first: they hold the state.
    drop(local);
    if let Some(state) = Rc::into_inner(state) {
        state.into_inner().end();
    }
    info!("the policy daemon ends; calls are refused until it is back");
    ended
}

/// Raises the limit, as far as the hard limit goes; it is often 1024.
fn allow_many_descriptors() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let wanted = DESCRIPTORS.min(hard);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)?;
    }
    Ok(())
}

/// What the answer to a question takes.
struct Asking {
    state: Shared,
    bell: Rc<Doorbell>,
    /// The socket of the program that asks the user.
    agent: PathBuf,
    /// For refusals of a flood that are held back.
    held: Semaphore,
}

async fn answer_questions(listener: UnixListener, asking: Rc<Asking>) {
    let places = Arc::new(Semaphore::new(ASKERS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let stream = accept(&listener).await;
        let asking = asking.clone();
        spawn_local(async move {
            if let Err(e) = asking.answer(stream, place).await {
                warn!("no answer to a question: {e}");
            }
        });
    }
}

#[derive(Debug, Error)]
enum NoAnswer {
    #[error(transparent)]
    BadQuestion(#[from] BadQuestion),
    #[error(transparent)]
    BadReport(#[from] BadReport),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the asker is too slow")]
    TooSlow(#[from] tokio::time::error::Elapsed),
}

impl Asking {
    async fn answer(
        &self,
        mut stream: UnixStream,
        place: OwnedSemaphorePermit,
    ) -> Result<(), NoAnswer> {
        let question = match timeout(PATIENCE, listen(&mut stream)).await?? {
            Said::Question(question) => question,
            Said::Over(report) => {
                self.state.borrow_mut().over(report, Moment::now());
                return Ok(());
            }
        };
        if !self.state.borrow().knows_the_system() {
            self.bell.ring().await;
        }
        let mut decision = self.state.borrow_mut().decide(&question, Moment::now());
        let mut place = Some(place);
        if decision.is_of_quota()
            && let Ok(_held) = self.held.try_acquire()
        {
            // Whoever waits here takes nobody's place.
            place = None;
            let wait = self
                .state
                .borrow_mut()
                .hold(&question.source, Moment::now());
            tokio::time::sleep(wait).await;
        }
        if let Some(asked) = decision.asked() {
            // This takes as long as a person does. Others are answered meanwhile.
            decision = prompts::ask(asked, &question, &self.state, &self.agent, &stream).await;
        }
        let now = Moment::now();
        let concluded = self.state.borrow_mut().conclude(decision, &question, now);
        let (decision, answer) = concluded;
        let told = async {
            stream.write_all(&answer).await?;
            stream.shutdown().await
        };
        timeout(PATIENCE, told).await??;
        drop(place);
        prompts::tell(&question, &decision, &self.state, &self.agent);
        Ok(())
    }
}

/// What a qrexec daemon has to say.
enum Said {
    Question(Question),
    /// A call is over.
    Over(Report),
}

async fn listen(stream: &mut UnixStream) -> Result<Said, NoAnswer> {
    let mut bytes = Vec::with_capacity(512);
    while !Question::is_complete(&bytes) {
        if bytes.len() > QUESTION_MAX {
            return Err(BadQuestion::TooLong.into());
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            break;
        }
    }
    if report::is_report(&bytes) {
        return Ok(Said::Over(report::decode(&bytes)?));
    }
    Ok(Said::Question(Question::decode(&bytes)?))
}

async fn tell_status(listener: UnixListener, agent: PathBuf, state: Shared) {
    loop {
        let mut stream = accept(&listener).await;
        let mut status = state.borrow().status();
        let agent = agent.clone();
        spawn_local(async move {
            let told = async {
                status.prompt = Some(prompts::is_there(&agent).await);
                let status = serde_json::to_vec(&status)?;
                stream.write_all(&status).await?;
                stream.shutdown().await
            };
            // Who asks for the status and goes away does without it.
            let _ = timeout(PATIENCE, told).await;
        });
    }
}
