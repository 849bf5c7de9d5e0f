// SPDX-License-Identifier: GPL-3.0-or-later
//! Makes what decides ready on another thread: with thousands of rules or hundreds of domains
//! that takes milliseconds, and so does freeing it. The thread that answers only puts the new in
//! the place of the old.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use bulkhead_policy::{Compiled, Policy, Rejected, SourceMap, System};
use policy_ledger::{Act, rfc3339};
use tokio::task::spawn_blocking;

use crate::live::Live;
use crate::prompts::Runs;
use crate::render::render;
use crate::state::{Shared, State};
use crate::status::PolicyStatus;

/// A policy that has been read, with all that is to be said of it.
pub(crate) struct ReadPolicy {
    pub policy: Arc<Policy>,
    pub generation: Option<u64>,
    /// How that became live.
    pub activation: Option<Act>,
    pub status: PolicyStatus,
    /// What is suspicious, as text.
    pub warnings: Option<String>,
    /// Whether it was read from other texts than the policy before.
    pub differs: bool,
}

/// A policy that has errors.
pub(crate) struct BadPolicy {
    /// What is wrong, as text.
    pub text: String,
    pub sources: SourceMap,
}

impl ReadPolicy {
    pub fn new(live: Live, before: &Policy, now: SystemTime) -> Self {
        let Live {
            policy,
            generation,
            activation,
        } = live;
        let (warnings, sources) = (policy.warnings(), policy.sources());
        let warnings = (!warnings.is_empty()).then(|| render(warnings, sources, false));
        let files = sources.files();
        let status = PolicyStatus {
            rules: Some(policy.rules().len()),
            files: files.map(|file| file.name.to_string()).collect(),
            since: Some(rfc3339(now)),
            error: None,
        };
        Self {
            differs: !is_same(&policy, before),
            policy: Arc::new(policy),
            generation,
            activation,
            status,
            warnings,
        }
    }
}

impl From<Rejected> for BadPolicy {
    fn from(rejected: Rejected) -> Self {
        Self {
            text: render(&rejected.diagnostics, &rejected.sources, false),
            sources: rejected.sources,
        }
    }
}

/// Whether two policies were read from the same texts.
fn is_same(one: &Policy, other: &Policy) -> bool {
    let (one, other) = (one.sources().files(), other.sources().files());
    one.map(|file| (&file.name, &file.text))
        .eq(other.map(|file| (&file.name, &file.text)))
}

/// Does something on another thread.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)
}

async fn compile(policy: &Arc<Policy>, system: &Arc<System>) -> io::Result<Compiled> {
    let (policy, system) = (policy.clone(), system.clone());
    aside(move || Compiled::new(policy, system)).await
}

/// Puts a policy in the place of the one before.
pub(crate) async fn go_live(state: &Shared, read: ReadPolicy) -> io::Result<()> {
    loop {
        let system = state.borrow().system();
        let compiled = match &system {
            Some(system) => Some(compile(&read.policy, system).await?),
            None => None,
        };
        // The domains may have changed meanwhile.
        if is_held(state.borrow().system().as_ref(), system.as_ref()) {
            let activation = read.activation.clone();
            state.borrow_mut().activated(&activation, SystemTime::now());
            let before = state.borrow_mut().take_policy(read, compiled);
            return aside(move || drop(before)).await;
        }
        aside(move || drop((compiled, system))).await?;
    }
}

/// Puts the domain manager's word in the place of the one before.
pub(crate) async fn take_system(state: &Shared, system: System, runs: Runs) -> io::Result<()> {
    let system = Arc::new(system);
    loop {
        let policy = state.borrow().policy();
        let compiled = compile(&policy, &system).await?;
        // The policy may have changed meanwhile.
        if Arc::ptr_eq(&policy, &state.borrow().policy()) {
            let before = state.borrow_mut().take_system(compiled, runs);
            drop(policy);
            return aside(move || drop(before)).await;
        }
        aside(move || drop((compiled, policy))).await?;
    }
}

/// Leaves nothing to decide by: the domain manager has gone silent.
pub(crate) async fn lose_system(state: &Shared) -> io::Result<()> {
    let before = state.borrow_mut().lose_system();
    aside(move || drop(before)).await
}

fn is_held(now: Option<&Arc<System>>, then: Option<&Arc<System>>) -> bool {
    match (now, then) {
        (Some(now), Some(then)) => Arc::ptr_eq(now, then),
        (now, then) => now.is_none() && then.is_none(),
    }
}

/// What decided before something took its place; to be freed elsewhere.
pub(crate) type Before = (Arc<Policy>, Option<Compiled>, Option<Arc<System>>);

impl State {
    /// What is to be freed once it has been replaced.
    pub(crate) fn before(&mut self) -> Before {
        (self.policy(), self.compiled.take(), self.system())
    }
}
