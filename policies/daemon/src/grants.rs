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

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_policy::{Compiled, DomainRef, Policy, Requested, System};
use bulkhead_types::{DomainName, Service};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::decide::{Decision, decide};
use crate::wire::Question;

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
    /// There is no such source.
    #[error("there is no domain `{0}`")]
    NoSource(String),
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

/// A grant that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub grant: GrantState,
    pub why: &'static str,
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
    last: u64,
    live: Vec<Grant>,
    system: Option<Arc<System>>,
}

impl Grants {
    /// Those of before a restart. What ends with the source's stop is left out: nobody watched.
    pub fn restored(last: u64, states: Vec<GrantState>) -> Self {
        let kept = states
            .into_iter()
            .filter(|state| !state.request.while_running);
        let live = kept.filter_map(|state| {
            let policy = policy_of(state.id, &state.request).ok()?;
            Some(Grant {
                state,
                policy: Arc::new(policy),
                compiled: None,
            })
        });
        Self {
            last,
            live: live.collect(),
            system: None,
        }
    }

    /// Takes the domains as they are now.
    pub fn set_system(&mut self, system: Option<Arc<System>>) {
        self.system = system;
        let system = &self.system;
        for grant in &mut self.live {
            let compile =
                |system: &Arc<System>| Compiled::of_few_rules(grant.policy.clone(), system.clone());
            grant.compiled = system.as_ref().map(compile);
        }
    }

    /// The number of the last that was given.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// All of them, as they are now.
    pub fn states(&self, now: Duration) -> Vec<GrantState> {
        let live = self.live.iter();
        live.map(|grant| GrantState {
            left: grant.state.until_ms.map(|until| {
                Duration::from_millis(until)
                    .saturating_sub(now)
                    .as_millis()
                    .div_ceil(1000) as u64
            }),
            ..grant.state.clone()
        })
        .collect()
    }

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
        let name = DomainName::parse(&source).map_err(|_| NotGranted::NoSource(source.clone()))?;
        let domain = system
            .get(&name)
            .ok_or(NotGranted::NoSource(source.clone()))?;
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
            request,
        };
        self.live.push(Grant {
            state: state.clone(),
            compiled: Some(Compiled::of_few_rules(policy.clone(), system.clone())),
            policy,
        });
        Ok(state)
    }

    /// The first grant that allows a call, with the permission.
    pub fn covering(&self, question: &Question, now: Duration) -> Option<(u64, Decision)> {
        self.live.iter().find_map(|grant| {
            let usable = !grant.state.is_over(now) && grant.state.request.uses != Some(0);
            if !usable {
                return None;
            }
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

    /// Removes what has ended by now. A grant that is used up stays for the sake of the calls
    /// that rest on it, as long as it has another end.
    pub fn expire(&mut self, now: Duration) -> Vec<Ended> {
        let system = self.system.clone();
        let system = system.as_deref();
        self.remove(|state| {
            let running = |system: &System| {
                let source = DomainRef::parse(&state.request.source).ok();
                let domain = source.and_then(|source| system.find(&source).cloned());
                domain.is_some_and(|domain| domain.is_running())
            };
            if state.is_over(now) {
                Some("its time is up")
            } else if state.request.while_running && !system.is_none_or(running) {
                Some("its source has stopped")
            } else if state.request.uses == Some(0) && state.calls.is_empty() {
                Some("it is used up")
            } else {
                None
            }
        })
    }

    /// Removes one, or all.
    pub fn revoke(&mut self, id: Option<u64>) -> Vec<Ended> {
        self.remove(|state| {
            id.is_none_or(|id| id == state.id)
                .then_some("it was revoked")
        })
    }

    fn remove(&mut self, why: impl Fn(&GrantState) -> Option<&'static str>) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.live.retain(|grant| match why(&grant.state) {
            None => true,
            Some(why) => {
                let grant = grant.state.clone();
                ended.push(Ended { grant, why });
                false
            }
        });
        ended
    }
}

impl GrantState {
    fn is_over(&self, now: Duration) -> bool {
        self.until_ms
            .is_some_and(|until| now >= Duration::from_millis(until))
    }
}

/// The rule of a grant, as a policy of its own: the evaluator is the only one who knows what is
/// meant by a target.
fn policy_of(id: u64, request: &GrantRequest) -> Result<Policy, NotGranted> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SYSTEM: &str = r#"{"domains": {
        "work": {"type": "AppVM", "power_state": "Running"},
        "vault": {"type": "AppVM", "power_state": "Halted"}}}"#;

    #[derive(Clone, Debug)]
    enum Step {
        Grant(Option<u64>, Option<u64>),
        Pass(u64),
        Ask,
        EndCalls,
        Revoke(u64),
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        let time = proptest::option::of(1..200u64);
        let uses = proptest::option::of(1..4u64);
        prop_oneof![
            2 => (time, uses).prop_map(|(time, uses)| Step::Grant(time, uses)),
            4 => (0..120u64).prop_map(Step::Pass),
            6 => Just(Step::Ask),
            1 => Just(Step::EndCalls),
            1 => (1..6u64).prop_map(Step::Revoke),
            1 => Just(Step::Restart),
        ]
    }

    /// What a grant comes to, told in the plainest way.
    #[derive(Clone)]
    struct Plain {
        id: u64,
        end: Option<u64>,
        uses: Option<u64>,
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]
        #[test]
        fn nothing_is_allowed_after_the_end_and_everything_before(
            start in 0..u64::MAX / 4,
            steps in proptest::collection::vec(step(), 1..40),
        ) {
            let system: System = serde_json::from_str(SYSTEM).unwrap();
            let question = Question {
                source: "work".into(),
                intended_target: "vault".into(),
                service_and_arg: "qubes.Gpg".into(),
                requested_source: String::new(),
                assume_yes_for_ask: false,
                just_evaluate: false,
            };
            let system = Some(Arc::new(system));
            let mut grants = Grants::default();
            grants.set_system(system.clone());
            let mut plain: Vec<Plain> = Vec::new();
            let (mut now, mut calls) = (start / 1000, 0);
            for step in steps {
                let clock = Duration::from_secs(now);
                match step {
                    Step::Grant(seconds, uses) => {
                        let request = GrantRequest {
                            source: "work".into(),
                            target: "vault".into(),
                            service: "qubes.Gpg".into(),
                            seconds,
                            uses,
                            while_running: false,
                        };
                        let given = grants.add(request, "root", String::new(), clock);
                        prop_assert_eq!(given.is_ok(), seconds.is_some() || uses.is_some());
                        if let Ok(given) = given {
                            let end = seconds.map(|seconds| now + seconds);
                            plain.push(Plain { id: given.id, end, uses });
                        }
                    }
                    Step::Pass(seconds) => now += seconds,
                    Step::Ask => {
                        let expected = plain.iter_mut().find(|grant| {
                            grant.uses != Some(0) && grant.end.is_none_or(|end| now < end)
                        });
                        let found = grants.covering(&question, clock);
                        let found = found.map(|(id, _)| id);
                        prop_assert_eq!(found, expected.as_ref().map(|grant| grant.id));
                        if let (Some(id), Some(grant)) = (found, expected) {
                            calls += 1;
                            grants.take_use(id);
                            grants.begin(id, calls);
                            grant.uses = grant.uses.map(|uses| uses - 1);
                        }
                    }
                    Step::EndCalls => {
                        for call in 1..=calls {
                            if let Some(id) = grants.of_call(call) {
                                grants.end_call(id, call);
                            }
                        }
                    }
                    Step::Revoke(id) => {
                        grants.revoke(Some(id));
                        plain.retain(|grant| grant.id != id);
                    }
                    Step::Restart => {
                        let states = grants.states(Duration::ZERO);
                        grants = Grants::restored(grants.last(), states);
                        grants.set_system(system.clone());
                    }
                }
                // Whether it is looked at or not changes nothing for whoever asks.
                if now % 2 == 0 {
                    for ended in grants.expire(Duration::from_secs(now)) {
                        let grant = plain.iter().find(|plain| plain.id == ended.grant.id);
                        let over = grant.is_none_or(|grant| {
                            grant.uses == Some(0) || grant.end.is_some_and(|end| now >= end)
                        });
                        prop_assert!(over, "{:?}", ended);
                    }
                }
            }
        }
    }
}
