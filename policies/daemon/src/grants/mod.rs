// SPDX-License-Identifier: GPL-3.0-or-later
//! Grants: permissions with an end, given by the administrator, without any I/O.
//!
//! A grant allows exactly one source, one target and one service (with one argument, or any).
//! It comes before every rule: it is what the administrator says now, so a `deny` or `ask` that
//! would decide otherwise does not count, and where a rule allows the call anyway the grant is
//! not used.
//!
//! Ends are counted by the time since the machine's start, which nobody can set. Grants are
//! bound to that start and do not outlive it.

mod ending;
mod file;
mod request;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_policy::{Compiled, Policy, System};
use bulkhead_types::DomainName;
use serde::{Deserialize, Serialize};

use crate::decide::{Decision, decide};
use crate::prompts::Runs;
use crate::wire::Question;

pub(crate) use ending::Ended;
pub(crate) use file::GrantsFile;
pub use request::{GrantRequest, LONGEST, NotGranted};

/// A grant as it is shown, and kept over a restart of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantState {
    /// Its number.
    pub id: u64,
    /// What was granted; `uses` counts down.
    #[serde(flatten)]
    pub request: GrantRequest,
    /// Who granted it.
    pub by: String,
    /// When, in UTC.
    pub since: String,
    /// When it ends, in milliseconds after the machine's start.
    pub until_ms: Option<u64>,
    /// How many seconds are left.
    #[serde(default)]
    pub left: Option<u64>,
    /// The calls that rest on it.
    pub calls: BTreeSet<u64>,
    /// The run of its source that it ends with, where it ends with one and that is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u32>,
}

struct Grant {
    state: GrantState,
    /// The policy that allows what is granted and nothing else.
    policy: Arc<Policy>,
    /// The same in the system as it is, while that is known.
    compiled: Option<Compiled>,
}

/// All grants that have not ended.
#[derive(Default)]
pub(crate) struct Grants {
    /// The number of the last that was given.
    last: u64,
    live: Vec<Grant>,
    system: Option<Arc<System>>,
    runs: Runs,
}

impl Grants {
    /// Takes the domains as they are now, and which run of each that is.
    pub fn set_system(&mut self, system: Option<Arc<System>>, runs: Runs) {
        self.system = system;
        self.runs = runs;
        let system = &self.system;
        for grant in &mut self.live {
            let compile =
                |system: &Arc<System>| Compiled::of_few_rules(grant.policy.clone(), system.clone());
            grant.compiled = system.as_ref().map(compile);
        }
    }

    /// The first grant that allows a call, with the permission.
    pub fn covering(&self, question: &Question, now: Duration) -> Option<(u64, Decision)> {
        let usable = |grant: &&Grant| {
            !grant.state.is_over(now)
                && grant.state.request.uses != Some(0)
                && !grant.has_stopped(self.system.as_deref(), &self.runs)
        };
        self.live.iter().filter(usable).find_map(|grant| {
            let decision = decide(grant.compiled.as_ref(), question);
            let id = grant.state.id;
            decision.is_allowed().then(|| (id, decision.by_grant(id)))
        })
    }

    /// A call begins that rests on a grant.
    pub fn begin(&mut self, id: u64, call: u64) {
        if let Some(grant) = self.live.iter_mut().find(|grant| grant.state.id == id) {
            grant.state.calls.insert(call);
        }
    }

    /// Takes a use of a grant.
    pub fn take_use(&mut self, id: u64) {
        if let Some(grant) = self.live.iter_mut().find(|grant| grant.state.id == id)
            && let Some(uses) = &mut grant.state.request.uses
        {
            *uses = uses.saturating_sub(1);
        }
    }

    /// A call is over that rested on a grant.
    pub fn end_call(&mut self, id: u64, call: u64) {
        if let Some(grant) = self.live.iter_mut().find(|grant| grant.state.id == id) {
            grant.state.calls.remove(&call);
        }
    }

    /// The grant that a call rests on.
    pub fn of_call(&self, call: u64) -> Option<u64> {
        let rests = |grant: &&Grant| grant.state.calls.contains(&call);
        Some(self.live.iter().find(rests)?.state.id)
    }
}

impl Grant {
    /// Whether it ends with its source's stop, and that has come: a run that began since is another.
    /// Without word of the domains nothing has.
    fn has_stopped(&self, system: Option<&System>, runs: &Runs) -> bool {
        let goes_on = |system: &System| {
            let source = DomainName::parse(&self.state.request.source).ok();
            source.is_some_and(|source| {
                let domain = system.get(&source);
                domain.is_some_and(|domain| domain.is_running())
                    && runs.of(&source) == self.state.run
            })
        };
        self.state.request.while_running && !system.is_none_or(goes_on)
    }
}

impl GrantState {
    fn is_over(&self, now: Duration) -> bool {
        self.until_ms
            .is_some_and(|until| now >= Duration::from_millis(until))
    }
}

#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
