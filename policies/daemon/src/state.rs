// SPDX-License-Identifier: GPL-3.0-or-later
//! What the daemon's tasks share, on one thread.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use bulkhead_policy::{Compiled, Domain, DomainRef, Policy, System};
use policy_agent_protocol::{Ask, Lasting};
use policy_ledger::{Act, Event};
use qrexec_protocol::under_way::EndCall;
use tokio::sync::mpsc::UnboundedSender;
use tracing::{error, info, warn};

use crate::announcer::Announcer;
use crate::book::Book;
use crate::calls::Calls;
use crate::clock::Moment;
use crate::decide::{Asked, Decision, decide_agreed};
use crate::flood::Flood;
use crate::grants::Grants;
use crate::grants::GrantsFile;
use crate::prepare::{Before, ReadPolicy};
use crate::prompts::{self, Chosen, KeptAnswers, Notices, Runs, Waiting};
use crate::quota::Quotas;
use crate::settings::{Settings, SettingsError};
use crate::status::{PolicyStatus, Status};
use crate::wire::Question;

/// A handle to the one state. It is never borrowed across a wait.
pub(crate) type Shared = Rc<RefCell<State>>;

pub(crate) struct State {
    policy: Arc<Policy>,
    pub(crate) status: PolicyStatus,
    /// The generation of the policy, where generations are used.
    pub(crate) generation: Option<u64>,
    /// How the generation became live, as the ledger has it; nothing is known right after the start.
    activation: Option<Option<Act>>,
    system: Option<Arc<System>>,
    /// Both of them, while both are there.
    pub(crate) compiled: Option<Compiled>,
    pub(crate) book: Book,
    pub(crate) grants: Grants,
    pub(crate) grants_file: GrantsFile,
    pub(crate) quotas: Quotas,
    /// Whether the quotas were read since the start: what changed before is not known.
    quotas_read: bool,
    pub(crate) flood: Flood,
    pub(crate) calls: Calls,
    /// Calls whose grant has ended, until they have.
    pub(crate) orphaned: BTreeSet<u64>,
    pub(crate) reporters: HashMap<u64, UnboundedSender<EndCall>>,
    settings_error: Option<String>,
    runs: Runs,
    pub(crate) allowed: u64,
    pub(crate) denied: u64,
    pub(crate) waiting: Waiting,
    pub(crate) kept: KeptAnswers,
    pub(crate) notices: Notices,
    pub(crate) announcer: Announcer,
}

impl State {
    pub(crate) fn new(book: Book, grants_file: GrantsFile, announcer: Announcer) -> Self {
        Self {
            policy: Arc::new(Policy::empty()),
            status: PolicyStatus {
                rules: None,
                files: Vec::new(),
                since: None,
                error: None,
            },
            system: None,
            generation: None,
            activation: None,
            compiled: None,
            calls: Calls::after(book.last()),
            book,
            grants: grants_file.load(),
            grants_file,
            quotas: Quotas::new(Vec::new()),
            quotas_read: false,
            flood: Flood::default(),
            orphaned: BTreeSet::new(),
            reporters: HashMap::new(),
            settings_error: None,
            runs: Runs::default(),
            allowed: 0,
            denied: 0,
            waiting: Waiting::default(),
            kept: KeptAnswers::default(),
            notices: Notices::default(),
            announcer,
        }
    }

    /// Decides a question to which the user has agreed.
    pub(crate) fn decide_agreed(&self, question: &Question, chosen: &Chosen) -> Decision {
        match self.status.rules {
            Some(_) => decide_agreed(self.compiled.as_ref(), question, chosen),
            None => Decision::refused("there is no policy without errors"),
        }
    }

    /// What the answer to a question to the user is kept by, as things are now.
    pub(crate) fn key(&self, asked: &Asked) -> prompts::Key {
        prompts::key(asked, self.system.as_deref(), &self.runs)
    }

    /// A question to the user, for the agent.
    pub(crate) fn request(&self, asked: &Asked, offered: &[Lasting]) -> Ask {
        prompts::request(asked, self.system.as_deref(), offered)
    }

    pub(crate) fn policy(&self) -> Arc<Policy> {
        self.policy.clone()
    }

    pub(crate) fn system(&self) -> Option<Arc<System>> {
        self.system.clone()
    }

    /// Decides by another policy from now on; `compiled` is that in the system as it is.
    pub(crate) fn take_policy(&mut self, read: ReadPolicy, compiled: Option<Compiled>) -> Before {
        let before = self.before();
        if let Some(warnings) = read.warnings {
            warn!("{warnings}");
        }
        info!("the policy has {} rules", read.policy.rules().len());
        self.status = read.status;
        self.generation = read.generation;
        // The user's answers were to questions of the rules before. Files are also read when
        // something else happens beside them.
        if read.differs {
            self.kept.forget();
        }
        self.policy = read.policy;
        self.compiled = compiled;
        self.announce();
        before
    }

    /// What was read has errors, which changes nothing but the status.
    pub(crate) fn refuse_policy(&mut self, text: String) {
        let stays = match self.status.rules {
            Some(_) => "the last good policy stays live",
            None => "every call is refused",
        };
        error!("the policy has errors, {stays}\n{text}");
        self.status.error = Some(text);
        self.announce();
    }

    /// Records which generation decides from now on, and who made it so, unless that is known.
    pub(crate) fn activated(&mut self, activation: &Option<Act>, now: SystemTime) {
        if self.activation.as_ref() == Some(activation) {
            return;
        }
        if let Some(act) = activation {
            // It was another one's act before this start; now the daemon finds it.
            let event = match self.activation {
                Some(_) => act.clone(),
                None => Act {
                    by: "policyd".to_owned(),
                    what: "live".to_owned(),
                    detail: format!("{}, {} by {}", act.detail, act.what, act.by),
                },
            };
            self.book.record(Event::Act(event), now);
        }
        self.activation = Some(activation.clone());
    }

    /// Takes what was read of the settings. What cannot be used changes nothing but the status.
    pub(crate) fn set(&mut self, outcome: Result<Settings, SettingsError>, now: Moment) {
        match outcome {
            Ok(settings) => {
                self.book.set(&settings.ledger);
                let changes = self.quotas.set(settings.quotas);
                if std::mem::replace(&mut self.quotas_read, true) {
                    let by = settings.quotas_by.unwrap_or_else(|| "unknown".to_owned());
                    for change in changes {
                        self.act(&by, "quota", change, now);
                    }
                }
                self.settings_error = None;
            }
            Err(error) => {
                error!("{error}; the settings stay as they were");
                self.settings_error = Some(error.to_string());
            }
        }
    }

    pub(crate) fn book(&mut self) -> &mut Book {
        &mut self.book
    }

    /// The daemon ends.
    pub(crate) fn end(self) {
        self.book.close();
    }

    /// The domain that a question names as its source.
    pub(crate) fn domain(&self, source: &str) -> Option<&Domain> {
        let domain = DomainRef::parse(source).ok()?;
        self.system.as_ref()?.find(&domain).map(|domain| &**domain)
    }

    pub(crate) fn is_disposable(&self, source: &str) -> bool {
        let domain = self.domain(source);
        domain.is_some_and(|domain| domain.class == "DispVM")
    }

    /// Takes the domain manager's word; `compiled` is the policy as it is, in that system.
    pub(crate) fn take_system(&mut self, compiled: Compiled, runs: Runs) -> Before {
        let before = self.before();
        let system = compiled.system().clone();
        self.compiled = Some(compiled);
        self.set_system(Some(system), runs);
        before
    }

    /// The domain manager has gone silent: nothing is allowed until it is back.
    pub(crate) fn lose_system(&mut self) -> Before {
        let before = self.before();
        self.set_system(None, Runs::default());
        before
    }

    fn set_system(&mut self, system: Option<Arc<System>>, runs: Runs) {
        let changed = self.domains() != system.as_ref().map(|system| system.len());
        self.system = system;
        self.grants.set_system(self.system.clone(), runs.clone());
        if let Some(system) = &self.system
            && changed
        {
            let names = system.domains().iter().map(|domain| domain.name.as_str());
            let names: HashSet<_> = names.collect();
            self.quotas.retain_sources(|source| names.contains(source));
        }
        self.runs = runs;
        let (system, runs) = (self.system.as_deref(), &self.runs);
        // Without word of the domains none of them is known to go on.
        self.kept.keep_running(|key| key.is_present(system, runs));
        if changed {
            self.announce();
        }
    }

    fn domains(&self) -> Option<usize> {
        self.system.as_ref().map(|system| system.len())
    }

    /// Whether there is word of the domain manager.
    pub(crate) fn knows_the_system(&self) -> bool {
        self.system.is_some()
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            policy: self.status.clone(),
            domains: self.domains(),
            records: self.book.last(),
            ledger_error: self.book.failure().cloned(),
            settings_error: self.settings_error.clone(),
            allowed: self.allowed,
            denied: self.denied,
            under_way: self.calls.len(),
            waiting: self.waiting.len(),
            kept_answers: self.kept.len(),
            prompt: None,
        }
    }

    /// Tells the service manager, which shows it to people.
    fn announce(&self) {
        self.announcer.status(self.status().summary());
    }
}
