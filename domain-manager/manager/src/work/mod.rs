// SPDX-License-Identifier: GPL-3.0-or-later
//! What the manager does: the one place where model, database, machine and daemons meet.
//!
//! Everything decided happens on one thread, between two awaits: a check, the record of the
//! intention and the change of the model are one piece that nothing can come between. What
//! takes time (volumes, guests, daemons) happens elsewhere and reports back as an event in
//! the domain's [life](crate::life), so one slow domain never holds up another.

mod bury;
mod create;
mod crew;
mod disposable;
mod edit;
mod plan;
mod remove;
mod repair;
mod report;
mod start;
mod template;

use std::cell::{Ref, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bulkhead_admin::StartReport;
use bulkhead_types::{DomainUuid, Layout};
use tokio::sync::watch;

pub use create::NewDomain;
pub use edit::parse_value;
pub use repair::Repair;
pub(crate) use template::IMAGE;

use crate::daemons::Supervised;
use crate::failure::Failure;
use crate::host::{Host, HostError, HostErrorKind};
use crate::life::{Action, Event, Phase, Refused};
use crate::model::{Domain, Entry, Model, Stage};
use crate::settings::Settings;
use crate::step::Step;
use crate::store::Store;

/// How long the machine may take for what is quick.
const QUICK: Duration = Duration::from_secs(60);
/// How long it may take to copy a template's image.
const COPYING: Duration = Duration::from_secs(30 * 60);

/// Where time and chance come from.
#[derive(Clone, Copy, Debug)]
pub struct Nature {
    /// Seconds since 1970.
    pub now: fn() -> i64,
    /// 128 random bits, as of a version 4 UUID.
    pub random: fn() -> uuid::Uuid,
}

impl Nature {
    /// The machine's clock and its random numbers.
    pub fn real() -> Self {
        Self {
            now: || {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                since.map_or(0, |since| {
                    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
                })
            },
            random: uuid::Uuid::new_v4,
        }
    }
}

/// What a manager is made of.
#[derive(Debug)]
pub struct Parts<H> {
    /// Where everything lies.
    pub layout: Layout,
    /// What the settings file says.
    pub settings: Settings,
    /// The database.
    pub store: Store,
    /// Volumes and guests.
    pub host: H,
    /// Time and chance.
    pub nature: Nature,
    /// The step at which a test wants this process to die.
    pub die_at: Option<Step>,
}

/// The domain manager.
pub struct Manager {
    layout: Layout,
    settings: Settings,
    host: Arc<dyn Host>,
    nature: Nature,
    die_at: Option<Step>,
    state: RefCell<State>,
    changed: watch::Sender<u64>,
}

struct State {
    model: Model,
    store: Store,
    /// What runs for each domain that starts or runs.
    runs: HashMap<DomainUuid, Run>,
    reports: HashMap<DomainUuid, StartReport>,
    info: Option<Rc<str>>,
    damaged: Vec<String>,
}

struct Run {
    daemons: Vec<Supervised>,
    interrupt: watch::Sender<Option<&'static str>>,
}

impl Manager {
    /// Reads the database. Nothing else is touched before [`repair`](Self::repair).
    pub fn open<H: Host>(parts: Parts<H>) -> rusqlite::Result<Rc<Self>> {
        let loaded = parts.store.load()?;
        for damage in &loaded.damaged {
            tracing::error!("in the database: {damage}");
        }
        let mut model = Model::new(parts.settings.defaults.clone());
        for domain in loaded.domains {
            let life = match model.get(&domain.uuid) {
                Some(dom0) => dom0.life.clone(),
                None => crate::life::Life::new(Phase::Halted),
            };
            model.put(domain, life);
        }
        for (global, uuid) in loaded.globals {
            model.set_global(global, Some(uuid));
        }
        Ok(Rc::new(Self {
            layout: parts.layout,
            settings: parts.settings,
            host: Arc::new(parts.host),
            nature: parts.nature,
            die_at: parts.die_at,
            state: RefCell::new(State {
                model,
                store: parts.store,
                runs: HashMap::new(),
                reports: HashMap::new(),
                info: None,
                damaged: loaded.damaged,
            }),
            changed: watch::channel(0).0,
        }))
    }

    /// The model, to read from. Not to be held across an await.
    pub fn model(&self) -> Ref<'_, Model> {
        Ref::map(self.state.borrow(), |state| &state.model)
    }

    /// Where everything lies.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the settings file says.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What a user has to be told before relying on the machine.
    pub fn warning(&self) -> Option<String> {
        self.host.warning()
    }

    /// What programs need in their environment to reach guests.
    pub fn child_environment(&self) -> Vec<(String, String)> {
        self.host.child_environment()
    }

    /// Rows of the database that made no sense.
    pub fn damaged(&self) -> Vec<String> {
        self.state.borrow().damaged.clone()
    }

    /// A number that grows with every change; can be waited on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The system information as JSON on one line, without a newline.
    pub fn system_info(&self) -> Rc<str> {
        let mut state = self.state.borrow_mut();
        if let Some(info) = &state.info {
            return info.clone();
        }
        let (text, left_out) = state.model.system_info();
        for reason in left_out {
            tracing::error!("left out of the system information: {reason}");
        }
        let info: Rc<str> = text.into();
        state.info = Some(info.clone());
        info
    }

    /// Tells everybody that something changed; after it is durable, never before.
    fn publish(&self) {
        self.state.borrow_mut().info = None;
        self.changed.send_modify(|number| *number += 1);
    }

    /// Says that a step is done, so that a test can let the process die here.
    fn done(&self, step: Step) {
        if self.die_at == Some(step) {
            eprintln!("dying after step {}", step.name());
            std::process::abort();
        }
    }

    /// Writes how far an effect is intended.
    fn record(&self, uuid: &DomainUuid, stage: Stage) -> Result<(), Failure> {
        let state = &mut *self.state.borrow_mut();
        state.store.set_stage(uuid, stage)?;
        if let Some(entry) = state.model.get(uuid) {
            let domain = Domain {
                stage,
                ..entry.domain.clone()
            };
            state.model.update(domain);
        }
        Ok(())
    }

    /// Whether a domain's life would take an event; changes nothing.
    fn would(&self, uuid: &DomainUuid, event: Event) -> Result<Action, Failure> {
        let state = self.state.borrow();
        let entry = state.model.get(uuid).ok_or_else(|| gone(uuid))?;
        let outcome = entry.life.clone().handle(event);
        outcome.map_err(|refused| refusal(&entry.domain, refused))
    }

    /// Tells a domain's life an event and publishes the change.
    fn tell(&self, uuid: &DomainUuid, event: Event) -> Result<Action, Failure> {
        let outcome = {
            let state = &mut *self.state.borrow_mut();
            let life = state.model.life_mut(uuid).ok_or_else(|| gone(uuid))?;
            life.handle(event)
        };
        match outcome {
            Ok(action) => {
                self.publish();
                Ok(action)
            }
            Err(refused) => {
                let model = self.model();
                let entry = model.get(uuid).ok_or_else(|| gone(uuid))?;
                Err(refusal(&entry.domain, refused))
            }
        }
    }

    /// The record of a domain.
    fn domain(&self, uuid: &DomainUuid) -> Result<Domain, Failure> {
        let model = self.model();
        let entry = model.get(uuid).ok_or_else(|| gone(uuid))?;
        Ok(entry.domain.clone())
    }

    /// Waits until a look at a domain (`None` when it is gone) gives an answer.
    async fn until<T>(&self, uuid: &DomainUuid, look: impl Fn(Option<&Entry>) -> Option<T>) -> T {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            if let Some(answer) = look(self.model().get(uuid)) {
                return answer;
            }
            // The sender lives as long as this manager does.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Makes a call to the machine on another thread, with a deadline.
    async fn host<T: Send + 'static>(
        &self,
        patience: Duration,
        call: impl FnOnce(&dyn Host) -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, HostError> {
        let host = self.host.clone();
        let call = tokio::task::spawn_blocking(move || call(&*host));
        match tokio::time::timeout(patience, call).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Err(other(format!("a call to the machine broke off: {error}"))),
            Err(_) => Err(other(format!(
                "the machine did not answer within {} s",
                patience.as_secs()
            ))),
        }
    }
}

fn other(message: String) -> HostError {
    HostError {
        kind: HostErrorKind::Other,
        message,
    }
}

fn gone(uuid: &DomainUuid) -> Failure {
    Failure::NoSuchDomain(format!("uuid:{uuid}"))
}

fn refusal(domain: &Domain, refused: Refused) -> Failure {
    let name = domain.name.clone();
    match refused {
        Refused::NotHalted => Failure::NotHalted(name),
        Refused::NotRunning => Failure::NotRunning(name),
        Refused::NotPaused => Failure::NotPaused(name),
        Refused::NotThere => Failure::NoSuchDomain(name.to_string()),
        Refused::HalfRemoved => Failure::StartFailed {
            reason: format!(
                "an attempt to remove it failed half way; run `bulkhead domain remove {name}` again"
            ),
            name,
            console: String::new(),
            out_of_memory: false,
        },
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        match error.kind {
            HostErrorKind::Storage => Self::Storage(error.message),
            _ => Self::Hypervisor(error.message),
        }
    }
}
