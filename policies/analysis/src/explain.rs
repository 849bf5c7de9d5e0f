// SPDX-License-Identifier: GPL-3.0-or-later
//! How a decision came about.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use bulkhead_policy::{
    Action, Call, Caller, Denial, Policy, Requested, Rule, ServicePattern, System, Target, Verdict,
    nearest,
};
use serde::Serialize;

use crate::matching::{means_argument, means_caller, means_service, means_target};
use crate::suggestion::{self, Suggestion};

/// At most this many near misses are told.
const NEAREST_MAX: usize = 5;
/// At most this many misspelt words are remembered.
const MEMORY_MAX: usize = 4096;

/// A decision with what led to it.
#[must_use]
#[derive(Clone, Debug)]
pub struct Explanation<'a> {
    /// The decision.
    pub verdict: Verdict,
    /// The target that rules were held against; `None` if it did not come to that.
    pub target: Option<Target>,
    /// The rules that came nearest to deciding, when no rule did. Those that miss by one field
    /// come first, and among them those that would have let the call through.
    pub nearest: Vec<NearMiss<'a>>,
    /// The smallest rule that would allow exactly this call, when it is refused.
    pub suggestion: Option<Suggestion>,
    /// What is remarkable about the call itself, such as a target that does not exist.
    pub remarks: Vec<String>,
}

/// A rule that one or two fields kept from deciding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The fields that do not match.
    pub failed: Vec<Field>,
}

/// The fields of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
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

/// Explains calls to one policy in one system. Made once, it answers many.
#[derive(Debug)]
pub struct Explainer<'a> {
    policy: &'a Policy,
    system: &'a System,
    rules: Vec<&'a Rule>,
    /// The numbers of the rules that name a service.
    by_service: HashMap<&'a str, Vec<usize>>,
    any_service: Vec<usize>,
    /// Services and domains that look like a word that is neither.
    services_like: RefCell<HashMap<String, Option<&'a str>>>,
    domains_like: RefCell<HashMap<String, Option<String>>>,
}

impl<'a> Explainer<'a> {
    /// Prepares for calls.
    pub fn new(policy: &'a Policy, system: &'a System) -> Self {
        let rules: Vec<&Rule> = policy.rules().collect();
        let mut by_service: HashMap<_, Vec<usize>> = HashMap::new();
        let mut any_service = Vec::new();
        for (number, rule) in rules.iter().enumerate() {
            match &rule.service {
                ServicePattern::Any => any_service.push(number),
                ServicePattern::Named(name) => by_service.entry(&**name).or_default().push(number),
            }
        }
        Self {
            policy,
            system,
            rules,
            by_service,
            any_service,
            services_like: RefCell::default(),
            domains_like: RefCell::default(),
        }
    }

    /// Decides a call and says how that came about.
    pub fn explain(&self, call: &Call) -> Explanation<'a> {
        let verdict = self.policy.evaluate(self.system, call);
        let caller = Caller::new(&call.source, self.system);
        let target = Target::of(&call.target, self.system).ok();
        let mut remarks = self.remarks(call, &caller);
        let (mut nearest, mut suggestion) = (Vec::new(), None);
        if let Verdict::Deny(reason) = &verdict {
            if let (Denial::NoRule, Some(target)) = (reason.denial(), &target) {
                nearest = self.near_misses(call, &caller, target);
            }
            let named = self.by_service.get(call.service.name().as_str());
            let about = named.into_iter().flatten().chain(&self.any_service);
            let about = about.map(|number| self.rules[*number]);
            match suggestion::allowing(self.policy, self.system, call, reason, about) {
                Ok(rule) => suggestion = Some(rule),
                Err(why) => remarks.push(why),
            }
        }
        if let Verdict::Ask(question) = &verdict
            && question.screen().is_none()
        {
            let source = &call.source;
            remarks.push(format!(
                "`{source}` is on nobody's screen: the call is refused unasked"
            ));
        }
        Explanation {
            verdict,
            target,
            nearest,
            suggestion,
            remarks,
        }
    }

    fn near_misses(&self, call: &Call, caller: &Caller<'_>, target: &Target) -> Vec<NearMiss<'a>> {
        let name = call.service.name().as_str();
        let argument = call.service.policy_argument();
        let own = self.by_service.get(name);
        let similar = match own {
            Some(_) => None,
            None => self.service_like(name),
        };
        let named = own.or_else(|| self.by_service.get(similar?));
        let candidates = named.into_iter().flatten().chain(&self.any_service);
        let missed = |number: &usize| {
            let rule = self.rules[*number];
            let fields = [
                (
                    Field::Target,
                    means_target(&rule.target, target, caller, self.system),
                ),
                (Field::Source, means_caller(&rule.source, caller)),
                (Field::Argument, means_argument(rule, &argument)),
                (Field::Service, means_service(rule, &call.service)),
            ];
            let failed = fields.iter().filter(|(_, matched)| !matched);
            let failed: Vec<Field> = failed.map(|(field, _)| *field).collect();
            matches!(failed.len(), 1 | 2).then_some(NearMiss { rule, failed })
        };
        let mut misses: Vec<_> = candidates.filter_map(missed).collect();
        let denies = |miss: &NearMiss<'_>| matches!(miss.rule.action, Action::Deny { .. });
        misses.sort_by_key(|miss| (miss.failed.len(), denies(miss), miss.failed.clone()));
        misses.truncate(NEAREST_MAX);
        misses
    }

    fn remarks(&self, call: &Call, caller: &Caller<'_>) -> Vec<String> {
        let mut remarks = Vec::new();
        if caller.dom0 {
            remarks.push("dom0 asks nobody: its calls are made whatever the rules say".to_owned());
        }
        let mut missing = |text: &str, what: &str| {
            let likely = self.domain_like(text);
            let likely = likely.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
            let text = text.escape_debug();
            remarks.push(format!("there is no domain `{text}`{what}{likely}"));
        };
        if caller.domain.is_none() && !caller.dom0 {
            missing(&call.source.to_string(), "");
        }
        match &call.target {
            Requested::Unknown(text) => missing(text, ", so policy sees `@default`"),
            Requested::Domain(domain) if self.system.find(domain).is_none() => {
                missing(&domain.to_string(), ", so policy sees `@default`");
            }
            _ => {}
        }
        let name = call.service.name().as_str();
        if self.any_service.is_empty() && !self.by_service.contains_key(name) {
            let likely = self.service_like(name);
            let likely = likely.map_or(String::new(), |name| format!("; did you mean `{name}`?"));
            remarks.push(format!("no rule is about the service `{name}`{likely}"));
        }
        remarks
    }

    fn service_like(&self, word: &str) -> Option<&'a str> {
        let mut memory = self.services_like.borrow_mut();
        if let Some(known) = memory.get(word) {
            return *known;
        }
        let like = nearest(word, self.by_service.keys().copied());
        let like = like.and_then(|like| Some(*self.by_service.get_key_value(like.as_str())?.0));
        if memory.len() < MEMORY_MAX {
            memory.insert(word.to_owned(), like);
        }
        like
    }

    fn domain_like(&self, word: &str) -> Option<String> {
        let mut memory = self.domains_like.borrow_mut();
        if let Some(known) = memory.get(word) {
            return known.clone();
        }
        let names = self.system.domains().iter().map(|d| d.name.as_str());
        let like = nearest(word, names);
        if memory.len() < MEMORY_MAX {
            memory.insert(word.to_owned(), like.clone());
        }
        like
    }
}
