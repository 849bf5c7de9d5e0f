// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules of a policy in their order, and one of them held with the others.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::rule::{Action, Rule};

/// All rules of a policy.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    all: Vec<Rule>,
    briefs: Vec<Brief>,
}

/// What most rules amount to, so that a decision needs not look at the rule itself: there are
/// too many for the processor to have them at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Brief {
    Deny,
    /// To where the call was meant to go, which is started if need be.
    Allow,
    /// The rule has to be read.
    Other,
}

impl Rules {
    pub fn new(all: Vec<Rule>) -> Self {
        let brief = |rule: &Rule| match &rule.action {
            Action::Deny { .. } => Brief::Deny,
            Action::Allow(options) if options.target.is_none() && options.autostart => Brief::Allow,
            Action::Allow(_) | Action::Ask { .. } => Brief::Other,
        };
        Self {
            briefs: all.iter().map(brief).collect(),
            all,
        }
    }

    pub fn brief(&self, number: usize) -> Brief {
        self.briefs[number]
    }
}

impl Deref for Rules {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        &self.all
    }
}

/// A rule with the policy it is one of: to hold one touches no memory of the rule itself.
#[derive(Clone)]
pub(crate) struct HeldRule {
    rules: Arc<Rules>,
    number: usize,
}

impl HeldRule {
    pub fn new(rules: &Arc<Rules>, number: usize) -> Self {
        Self {
            rules: rules.clone(),
            number,
        }
    }
}

impl Deref for HeldRule {
    type Target = Rule;

    fn deref(&self) -> &Rule {
        &self.rules[self.number]
    }
}

impl PartialEq for HeldRule {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for HeldRule {}

impl fmt::Debug for HeldRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
