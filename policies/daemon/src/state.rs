// SPDX-License-Identifier: GPL-3.0-or-later
//! What the daemon's tasks share, on one thread.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use bulkhead_policy::{Compiled, DomainRef, Policy, Rejected, System};
use policy_agent_protocol::{Ask, Lasting};
use policy_ledger::{Close, Event, rfc3339};
use tracing::{error, info, warn};

use crate::book::Book;
use crate::decide::{Asked, Decision, decide, decide_agreed};
use crate::prompts::{self, Chosen, KeptAnswers, Notices, Runs, Waiting};
use crate::render::render;
use crate::settings::{Settings, SettingsError};
use crate::status::{PolicyStatus, Status};
use crate::wire::Question;

/// A handle to the one state. It is never borrowed across a wait.
pub(crate) type Shared = Rc<RefCell<State>>;

pub(crate) struct State {
    policy: Arc<Policy>,
    status: PolicyStatus,
    system: Option<Arc<System>>,
    /// Both of them, while both are there.
    compiled: Option<Compiled>,
    book: Book,
    settings_error: Option<String>,
    runs: Runs,
    allowed: u64,
    denied: u64,
    pub(crate) waiting: Waiting,
    pub(crate) kept: KeptAnswers,
    pub(crate) notices: Notices,
}

impl State {
    pub(crate) fn new(book: Book) -> Self {
        Self {
            policy: Arc::new(Policy::empty()),
            status: PolicyStatus {
                rules: None,
                files: Vec::new(),
                since: None,
                error: None,
            },
            system: None,
            compiled: None,
            book,
            settings_error: None,
            runs: Runs::default(),
            allowed: 0,
            denied: 0,
            waiting: Waiting::default(),
            kept: KeptAnswers::default(),
            notices: Notices::default(),
        }
    }

    /// Decides a question. Nothing may come of it before [`Self::conclude`] has recorded it.
    pub(crate) fn decide(&self, question: &Question) -> Decision {
        match self.status.rules {
            Some(_) => decide(self.compiled.as_ref(), question),
            None => Decision::refused("there is no policy without errors"),
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

    /// Records a decision and gives the answer's bytes: in this order.
    pub(crate) fn conclude(
        &mut self,
        mut decision: Decision,
        question: &Question,
        now: SystemTime,
    ) -> (Decision, Vec<u8>) {
        let record = decision.record(question);
        let why = match (&record.target, &record.reason) {
            (Some(target), _) => format!("to {target}"),
            (None, reason) => reason.clone().unwrap_or_default(),
        };
        let private = self.book.keeps_private(self.is_disposable(&record.source));
        // A source, target or service that was refused for its spelling can hold anything.
        let told = format!(
            "{} {} -> {} {}: {why}{}",
            record.verdict,
            shown(&record.source),
            shown(&record.requested_target),
            shown(&record.service),
            record
                .rule
                .as_ref()
                .map_or(String::new(), |rule| format!(" ({rule})")),
        );
        if !private {
            info!("{told}");
        }
        let event = match private {
            true => Event::Private,
            false => Event::Decision(record),
        };
        let number = self.book.record(event, now);
        if number.is_none() {
            error!("the call is refused");
            decision = Decision::refused("the decision cannot be recorded");
        }
        match decision.is_allowed() {
            true => self.allowed += 1,
            false => self.denied += 1,
        }
        let answer = decision.answer(number.filter(|_| !private));
        (decision, answer)
    }

    /// Records the end of a call.
    pub(crate) fn over(&mut self, close: Close, now: SystemTime) {
        if close.call > self.book.last() {
            warn!("the end of a call was told that was never decided");
            return;
        }
        // What cannot be recorded has been told there.
        let _ = self.book.record(Event::Close(close), now);
    }

    /// Takes what was read from the disk. What has errors changes nothing but the status.
    pub(crate) fn loaded(&mut self, outcome: Result<Policy, Box<Rejected>>, now: SystemTime) {
        match outcome {
            Ok(policy) => {
                if !policy.warnings().is_empty() {
                    warn!("{}", render(policy.warnings(), policy.sources(), false));
                }
                let files = policy.sources().files();
                self.status = PolicyStatus {
                    rules: Some(policy.rules().len()),
                    files: files.map(|file| file.name.to_string()).collect(),
                    since: Some(rfc3339(now)),
                    error: None,
                };
                info!("the policy has {} rules", policy.rules().len());
                // The user's answers were to questions of the rules before. Files are also
                // read when something else happens beside them.
                if !is_same(&policy, &self.policy) {
                    self.kept.forget();
                }
                self.policy = Arc::new(policy);
                self.compile();
            }
            Err(rejected) => {
                let text = render(&rejected.diagnostics, &rejected.sources, false);
                let stays = match self.status.rules {
                    Some(_) => "the last good policy stays live",
                    None => "every call is refused",
                };
                error!("the policy has errors, {stays}\n{text}");
                self.status.error = Some(text);
            }
        }
        self.announce();
    }

    /// Takes what was read of the settings. What cannot be used changes nothing but the status.
    pub(crate) fn set(&mut self, outcome: Result<Settings, SettingsError>) {
        match outcome {
            Ok(settings) => {
                self.book.set(&settings.ledger);
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

    fn is_disposable(&self, source: &str) -> bool {
        let domain = DomainRef::parse(source).ok();
        let system = self.system.as_ref();
        let domain = domain.and_then(|domain| system?.find(&domain));
        domain.is_some_and(|domain| domain.class == "DispVM")
    }

    /// Takes the domain manager's word, or that it has gone silent.
    pub(crate) fn set_system(&mut self, told: Option<(System, Runs)>) {
        let (system, runs) = told.map_or((None, Runs::default()), |(s, r)| (Some(s), r));
        let changed = self.domains() != system.as_ref().map(System::len);
        self.system = system.map(Arc::new);
        self.compile();
        self.runs = runs;
        let (system, runs) = (self.system.as_deref(), &self.runs);
        // Without word of the domains none of them is known to go on.
        self.kept.keep_running(|key| key.is_present(system, runs));
        if changed {
            self.announce();
        }
    }

    fn compile(&mut self) {
        let system = self.system.clone();
        self.compiled = system.map(|system| Compiled::new(self.policy.clone(), system));
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
            waiting: self.waiting.len(),
            kept_answers: self.kept.len(),
        }
    }

    /// Tells the service manager, which shows it to people.
    fn announce(&self) {
        let summary = self.status().summary();
        // Nobody may be listening.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Status(&summary)]);
    }
}

/// Whether two policies were read from the same texts.
fn is_same(one: &Policy, other: &Policy) -> bool {
    let texts = |policy: &Policy| {
        let files = policy.sources().files();
        files
            .map(|file| (file.name.clone(), file.text.clone()))
            .collect::<Vec<_>>()
    };
    texts(one) == texts(other)
}

/// Text of a guest for the log: escaped and cut.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(80).collect();
    match short.is_empty() {
        true => "@default".to_owned(),
        false => short.escape_debug().to_string(),
    }
}
