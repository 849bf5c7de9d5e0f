// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a decision came about, for people.

use std::fmt;
use std::sync::Arc;

use crate::call::{Call, Requested};
use crate::choices::{is_about, is_service};
use crate::policy::Policy;
use crate::rule::{Action, Rule};
use crate::suggest::nearest;
use crate::system::System;
use crate::target::{Caller, Target};
use crate::verdict::{Denial, Verdict};

/// At most this many near misses are told.
const NEAREST_MAX: usize = 5;

/// A decision with what led to it.
#[must_use]
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The decision.
    pub verdict: Verdict,
    /// The target that rules were held against; `None` if it did not come to that.
    pub target: Option<Target>,
    /// The rules that would have decided but for one field, when no rule did. Those that
    /// would have let the call through come first.
    pub nearest: Vec<NearMiss>,
    /// What is remarkable about the call itself, such as a target that does not exist.
    pub remarks: Vec<String>,
}

/// A rule that one field kept from deciding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The rule.
    pub rule: Arc<Rule>,
    /// The field.
    pub field: Field,
}

/// The fields of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The target.
    Target,
    /// The source.
    Source,
    /// The argument.
    Argument,
    /// The service.
    Service,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Target => "target",
            Self::Source => "source",
            Self::Argument => "argument",
            Self::Service => "service",
        })
    }
}

impl Explanation {
    pub(crate) fn of(policy: &Policy, system: &System, call: &Call) -> Self {
        let verdict = policy.evaluate(system, call);
        let caller = Caller::new(&call.source, system);
        let target = Target::of(&call.target, system).ok();
        let no_rule = matches!(&verdict, Verdict::Deny(reason) if reason.denial == Denial::NoRule);
        let nearest = match &target {
            Some(target) if no_rule => near_misses(policy, system, call, &caller, target),
            _ => Vec::new(),
        };
        Self {
            remarks: remarks(policy, system, call, &caller),
            verdict,
            target,
            nearest,
        }
    }
}

fn near_misses(
    policy: &Policy,
    system: &System,
    call: &Call,
    caller: &Caller<'_>,
    target: &Target,
) -> Vec<NearMiss> {
    let argument = call.service.policy_argument();
    let similar = |rule: &Rule| {
        let name = rule.service.to_string();
        nearest(call.service.name().as_str(), [name.as_str()]).is_some()
    };
    let missed = |rule: &Arc<Rule>| {
        let misses = [
            (Field::Target, target.matches(&rule.target, caller, system)),
            (Field::Source, caller.matches(&rule.source)),
            (
                Field::Argument,
                is_about(rule, &call.service, &argument) || !is_service(rule, &call.service),
            ),
            (Field::Service, is_service(rule, &call.service)),
        ];
        let mut failed = misses.iter().filter(|(_, matched)| !matched);
        match (failed.next(), failed.next()) {
            (Some((Field::Service, _)), None) if !similar(rule) => None,
            (Some((field, _)), None) => Some(NearMiss {
                rule: rule.clone(),
                field: *field,
            }),
            _ => None,
        }
    };
    let mut misses: Vec<_> = policy.rules.iter().filter_map(missed).collect();
    let denies = |miss: &NearMiss| matches!(miss.rule.action, Action::Deny { .. });
    misses.sort_by_key(|miss| (denies(miss), miss.field));
    misses.truncate(NEAREST_MAX);
    misses
}

fn remarks(policy: &Policy, system: &System, call: &Call, caller: &Caller<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    let names: Vec<_> = system
        .domains()
        .iter()
        .map(|d| d.name.to_string())
        .collect();
    let mut missing = |text: &str, what: &str| {
        let likely = nearest(text, names.iter().map(String::as_str));
        let likely = likely.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
        remarks.push(format!(
            "there is no domain `{}`{what}{likely}",
            text.escape_debug()
        ));
    };
    if caller.domain.is_none() && !caller.dom0 {
        missing(&call.source.to_string(), "");
    }
    match &call.target {
        Requested::Unknown(text) => missing(text, ", so policy sees `@default`"),
        Requested::Domain(domain) if system.find(domain).is_none() => {
            missing(&domain.to_string(), ", so policy sees `@default`");
        }
        _ => {}
    }
    if !policy.rules().any(|rule| is_service(rule, &call.service)) {
        remarks.push(format!(
            "no rule is about the service `{}`",
            call.service.name()
        ));
    }
    remarks
}
