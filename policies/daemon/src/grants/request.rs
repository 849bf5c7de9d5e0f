// SPDX-License-Identifier: GPL-3.0-or-later
//! What the administrator asks to be granted, and why it may not be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_policy::{Compiled, DomainRef, Policy, Requested, System, nearest};
use bulkhead_types::{DomainName, Service};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Grant, GrantState, Grants};

/// How many there may be at one time.
const GRANTS_MAX: usize = 1000;
/// The longest time that a grant may be for: a week.
pub const LONGEST: Duration = Duration::from_secs(7 * 86400);

/// What is to be granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// Who may call: a domain's name.
    pub source: String,
    /// Whom: a name, `dom0`, `@dispvm` or `@dispvm:NAME`.
    pub target: String,
    /// What for: `SERVICE`, `SERVICE+ARGUMENT`, or `SERVICE+*` for any argument.
    pub service: String,
    /// For how long.
    pub seconds: Option<u64>,
    /// How often.
    pub uses: Option<u64>,
    /// Until the source stops.
    pub while_running: bool,
}

/// Why something cannot be granted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotGranted {
    /// It would have no end.
    #[error("a grant needs an end: a time, a number of uses, or the source's stop")]
    NoEnd,
    /// It would end too late, or at once.
    #[error("a grant is for at least a second and at most a week")]
    BadTime,
    /// It would be used up before it begins.
    #[error("a grant is for at least one use")]
    NoUses,
    /// There is no such domain.
    #[error("there is no domain `{name}`{likely}")]
    NoDomain {
        /// What it was called.
        name: String,
        /// A question about what was meant, if something looks like it.
        likely: String,
    },
    /// No disposable is made of it.
    #[error("`{0}` is not a template for disposables")]
    NoTemplate(String),
    /// It may call whatever it likes.
    #[error("dom0 asks nobody, so it needs no grant")]
    AdminVm,
    /// No such call is ever made.
    #[error("no domain calls itself, so there is nothing to grant")]
    Itself,
    /// It already stands.
    #[error("`{0}` is not running")]
    NotRunning(String),
    /// It cannot be a target.
    #[error("`{0}` is no target to grant; name a domain, dom0, @dispvm or @dispvm:NAME")]
    BadTarget(String),
    /// It cannot be a service.
    #[error("`{0}` is no service; write SERVICE, SERVICE+ARGUMENT or SERVICE+*")]
    BadService(String),
    /// There are too many.
    #[error("there are {GRANTS_MAX} grants already; revoke some")]
    TooMany,
    /// The domain manager is away.
    #[error("the domain manager is not running, so nothing is known of `{0}`")]
    NoSystem(String),
}

impl Grants {
    /// Grants what is asked.
    pub fn add(
        &mut self,
        request: GrantRequest,
        by: &str,
        since: String,
        now: Duration,
    ) -> Result<GrantState, NotGranted> {
        if request.seconds.is_none() && request.uses.is_none() && !request.while_running {
            return Err(NotGranted::NoEnd);
        }
        let time = request.seconds.map(Duration::from_secs);
        if time.is_some_and(|time| time.is_zero() || time > LONGEST) {
            return Err(NotGranted::BadTime);
        }
        if request.uses == Some(0) {
            return Err(NotGranted::NoUses);
        }
        if self.live.len() >= GRANTS_MAX {
            return Err(NotGranted::TooMany);
        }
        let source = request.source.clone();
        let system = self.system.clone();
        let system = system.ok_or_else(|| NotGranted::NoSystem(source.clone()))?;
        let name = DomainName::parse(&source);
        let name = name.map_err(|_| no_domain(&source, &system))?;
        let domain = system.get(&name);
        let domain = domain.ok_or_else(|| no_domain(&source, &system))?;
        if name.as_str() == "dom0" {
            return Err(NotGranted::AdminVm);
        }
        there(&request.target, domain.name.as_str(), &system)?;
        if request.while_running && !domain.is_running() {
            return Err(NotGranted::NotRunning(source));
        }
        let policy = Arc::new(policy_of(self.last + 1, &request)?);
        let until = time.map(|time| now.saturating_add(time));
        self.last += 1;
        let state = GrantState {
            id: self.last,
            by: by.to_owned(),
            since,
            until_ms: until.map(|until| u64::try_from(until.as_millis()).unwrap_or(u64::MAX)),
            left: request.seconds,
            calls: BTreeSet::new(),
            run: self.runs.of(&name).filter(|_| request.while_running),
            request,
        };
        self.live.push(Grant {
            state: state.clone(),
            compiled: Some(Compiled::of_few_rules(policy.clone(), system.clone())),
            policy,
        });
        Ok(state)
    }
}

fn no_domain(name: &str, system: &System) -> NotGranted {
    let names = system.domains().iter().map(|domain| domain.name.as_str());
    let likely = nearest(name, names).map(|likely| format!("; did you mean `{likely}`?"));
    NotGranted::NoDomain {
        name: name.to_owned(),
        likely: likely.unwrap_or_default(),
    }
}

/// Whether a target that can be granted is there. A grant for what is misspelt would never be used,
/// and nobody would know why.
fn there(target: &str, source: &str, system: &System) -> Result<(), NotGranted> {
    let find = |domain: &DomainRef, name: &str| {
        let found = system.find(domain).cloned();
        found.ok_or_else(|| no_domain(name, system))
    };
    match Requested::parse(target) {
        Ok(Requested::Domain(domain)) => {
            let found = find(&domain, target)?;
            (found.name.as_str() != source).then_some(())
        }
        Ok(Requested::DispVmOf(domain)) => {
            let name = target.trim_start_matches("@dispvm:");
            if !find(&domain, name)?.template_for_dispvms {
                return Err(NotGranted::NoTemplate(name.to_owned()));
            }
            Some(())
        }
        _ => Some(()),
    }
    .ok_or(NotGranted::Itself)
}

/// The rule of a grant, as a policy of its own: the evaluator is the only one who knows what is
/// meant by a target.
pub(super) fn policy_of(id: u64, request: &GrantRequest) -> Result<Policy, NotGranted> {
    let bad_service = || NotGranted::BadService(request.service.clone());
    let bad_target = || NotGranted::BadTarget(request.target.clone());
    let (name, argument) = match request.service.strip_suffix("+*") {
        Some(name) => (name, "*".to_owned()),
        None => match request.service.split_once('+') {
            Some((name, argument)) => (name, format!("+{argument}")),
            None => (request.service.as_str(), "+".to_owned()),
        },
    };
    let plain = Service::parse(&request.service.replace("+*", "+")).is_ok();
    if !plain || name == "*" {
        return Err(bad_service());
    }
    let target = match Requested::parse(&request.target) {
        Ok(Requested::AdminVm) => "@adminvm".to_owned(),
        Ok(Requested::Domain(_) | Requested::DispVm | Requested::DispVmOf(_)) => {
            request.target.clone()
        }
        _ => return Err(bad_target()),
    };
    let rule = format!("{name} {argument} {} {target} allow\n", request.source);
    let file = format!("grant {id}");
    let policy = Policy::from_texts([(file.as_str(), rule.as_str())]);
    policy.map_err(|_| bad_service())
}
