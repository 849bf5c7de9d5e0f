// SPDX-License-Identifier: MIT OR Apache-2.0
//! A policy and a system, prepared for many calls.

use std::sync::Arc;

use bulkhead_policy_system::System;

use crate::bound::Bound;
use crate::call::Call;
use crate::places::Row;
use crate::policy::Policy;
use crate::verdict::Verdict;

/// A policy in a system. It decides exactly as [`Policy::evaluate`] does, only faster; a new
/// one takes its place when either changes, which costs a few lookups for each domain.
#[derive(Clone, Debug)]
pub struct Compiled {
    policy: Arc<Policy>,
    system: Arc<System>,
    bound: Option<Bound>,
}

impl Compiled {
    /// Prepares.
    pub fn new(policy: Arc<Policy>, system: Arc<System>) -> Self {
        Self {
            bound: Some(Bound::new(&policy.index, &system)),
            policy,
            system,
        }
    }

    /// Prepares nothing: for a policy of so few rules that a change of the system would cost
    /// more than all its decisions.
    pub fn of_few_rules(policy: Arc<Policy>, system: Arc<System>) -> Self {
        Self {
            policy,
            system,
            bound: None,
        }
    }

    /// The policy.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The system.
    pub fn system(&self) -> &Arc<System> {
        &self.system
    }

    /// Decides a call.
    pub fn evaluate(&self, call: &Call) -> Verdict {
        let (policy, system) = (&self.policy, &self.system);
        let Some(bound) = &self.bound else {
            return policy.evaluate(system, call);
        };
        let index = &policy.index;
        policy.decide(system, call, |caller, target, at| {
            let source = bound.source(caller);
            let source = source.unwrap_or_else(|| Row::Any(index.meaning_caller(caller)));
            let row = bound.target(target, at, caller);
            let target =
                row.unwrap_or_else(|| Row::Any(index.meaning_target(target, caller, system)));
            index.first(&call.service, &source, &target)
        })
    }
}
