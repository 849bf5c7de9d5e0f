// SPDX-License-Identifier: GPL-3.0-or-later
//! Rules behind an earlier one that takes all their calls, in whatever system.

use std::collections::HashMap;

use bulkhead_policy::{ArgumentPattern, Pattern, Policy, Rule, ServicePattern};

type Fields<'a> = (
    &'a ServicePattern,
    &'a ArgumentPattern,
    &'a Pattern,
    &'a Pattern,
);

/// Each rule that never decides, with the first one that does in its stead.
pub(crate) fn shadowed(policy: &Policy) -> Vec<(&Rule, &Rule)> {
    let mut first: HashMap<Fields<'_>, &Rule> = HashMap::new();
    let mut shadowed = Vec::new();
    for rule in policy.rules() {
        match covering(rule)
            .filter_map(|fields| first.get(&fields))
            .next()
        {
            Some(earlier) => shadowed.push((rule, *earlier)),
            None => {
                let fields = (&rule.service, &rule.argument, &rule.source, &rule.target);
                first.insert(fields, rule);
            }
        }
    }
    shadowed
}

/// The fields of rules that are about every call that this one is about.
fn covering(rule: &Rule) -> impl Iterator<Item = Fields<'_>> {
    let services = [&rule.service, &ServicePattern::Any];
    let arguments = [&rule.argument, &ArgumentPattern::Any];
    services.into_iter().flat_map(move |service| {
        arguments.into_iter().flat_map(move |argument| {
            wider(&rule.source).flat_map(move |source| {
                wider(&rule.target).map(move |target| (service, argument, source, target))
            })
        })
    })
}

/// The patterns that mean all that this one means. A tag, or `@type:AdminVM`, may mean dom0.
fn wider(pattern: &Pattern) -> impl Iterator<Item = &Pattern> {
    let never_dom0 = match pattern {
        Pattern::Any | Pattern::AdminVm | Pattern::Tag(_) => false,
        Pattern::Type(class) => **class != *"AdminVM",
        _ => true,
    };
    let any_vm = never_dom0.then_some(&Pattern::AnyVm);
    [pattern, &Pattern::Any].into_iter().chain(any_vm)
}
