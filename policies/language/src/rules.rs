// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a rule amounts to, and a rule held with the policy it is one of.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::rule::{Action, Rule};

/// A rule by its number, with what it amounts to, so that most decisions need not look at the
/// rule itself: there are too many for the processor to have them at hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Numbered {
    pub number: u32,
    pub brief: Brief,
}

/// What most rules amount to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Brief {
    #[default]
    Deny,
    /// To where the call was meant to go, which is started if need be.
    Allow,
    /// The rule has to be read.
    Other,
}

impl Numbered {
    pub fn new(number: u32, rule: &Rule) -> Self {
        let brief = match &rule.action {
            Action::Deny { .. } => Brief::Deny,
            Action::Allow(options) if options.target.is_none() && options.autostart => Brief::Allow,
            Action::Allow(_) | Action::Ask { .. } => Brief::Other,
        };
        Self { number, brief }
    }
}

/// A rule with the policy it is one of: to hold one touches no memory of the rule itself.
#[derive(Clone)]
pub(crate) struct HeldRule {
    rules: Arc<Vec<Rule>>,
    number: usize,
}

impl HeldRule {
    pub fn new(rules: &Arc<Vec<Rule>>, number: usize) -> Self {
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
