// SPDX-License-Identifier: MIT OR Apache-2.0
//! The targets that `ask` offers (specification of qrexec, 2.6).

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_types::Service;

use crate::pattern::{ArgumentPattern, Pattern, Redirect, ServicePattern};
use crate::policy::Policy;
use crate::rule::{Action, Rule};
use crate::system::{Domain, System};
use crate::target::{Caller, Destination, has_tag, named};

/// Whether the service and argument fields mean this service.
pub(crate) fn is_about(rule: &Rule, service: &Service, argument: &str) -> bool {
    is_service(rule, service)
        && match &rule.argument {
            ArgumentPattern::Any => true,
            ArgumentPattern::Exactly(only) => **only == *argument,
        }
}

pub(crate) fn is_service(rule: &Rule, service: &Service) -> bool {
    match &rule.service {
        ServicePattern::Any => true,
        ServicePattern::Named(name) => **name == *service.name().as_str(),
    }
}

/// Everything some rule would let the caller reach with this service.
///
/// Rules are gone through from the last to the first, so that an earlier one overrules.
pub(crate) fn gather(
    policy: &Policy,
    service: &Service,
    caller: &Caller<'_>,
    system: &System,
) -> Vec<Destination> {
    let argument = service.policy_argument();
    // Keyed by text: unique, and in the order in which people are shown them.
    let mut choices: BTreeMap<String, Destination> = BTreeMap::new();
    let relevant =
        |rule: &&Arc<Rule>| is_about(rule, service, &argument) && caller.matches(&rule.source);
    for rule in policy.rules.iter().rev().filter(relevant) {
        for choice in expand(rule, caller, system) {
            match &rule.action {
                Action::Deny { .. } => choices.remove(&choice.to_string()),
                _ => choices.insert(choice.to_string(), choice),
            };
        }
    }
    let offered = |choice: &Destination| match choice {
        Destination::Dom0 => !caller.dom0,
        Destination::Domain(domain) => !domain.internal && !caller.is(&domain.name),
        Destination::Disposable(template) => !template.internal,
    };
    choices.into_values().filter(offered).collect()
}

/// The destinations that a rule's `target=`, or else its target field, stands for.
///
/// `@dispvm` and `@dispvm:` of the caller's own default are one destination here.
fn expand(rule: &Rule, caller: &Caller<'_>, system: &System) -> Vec<Destination> {
    if let Some(redirect) = rule.action.redirect() {
        return match redirect {
            Redirect::AdminVm => vec![Destination::Dom0],
            other => {
                let found = Destination::of_redirect(other, caller, system);
                found.ok().flatten().into_iter().collect()
            }
        };
    }
    let domains = |wanted: &dyn Fn(&Domain) -> bool| -> Vec<Destination> {
        let found = system.domains().into_iter().filter(|d| wanted(d));
        found.map(as_destination).collect()
    };
    let disposables = |wanted: &dyn Fn(&Domain) -> bool| -> Vec<Destination> {
        let all = system.domains().into_iter();
        let found = all.filter(|d| d.template_for_dispvms && wanted(d));
        found.cloned().map(Destination::Disposable).collect()
    };
    let own = || {
        caller
            .disposable(system)
            .cloned()
            .map(Destination::Disposable)
    };
    match &rule.target {
        Pattern::Any => {
            let mut all = domains(&|_| true);
            all.push(Destination::Dom0);
            all.extend(disposables(&|_| true));
            all
        }
        Pattern::AnyVm => {
            let mut all = domains(&|d| !d.name.is_dom0());
            all.extend(disposables(&|_| true));
            all
        }
        Pattern::AdminVm => vec![Destination::Dom0],
        Pattern::Default => Vec::new(),
        Pattern::Domain(domain) => named(domain, system)
            .map(as_destination)
            .into_iter()
            .collect(),
        Pattern::Tag(tag) => domains(&|d| has_tag(d, tag)),
        Pattern::Type(class) => domains(&|d| *d.class == **class),
        Pattern::DispVm => own().into_iter().collect(),
        Pattern::DispVmOf(template) => named(template, system)
            .filter(|d| d.template_for_dispvms)
            .map(|d| Destination::Disposable(d.clone()))
            .into_iter()
            .collect(),
        Pattern::DispVmTag(tag) => disposables(&|d| has_tag(d, tag)),
    }
}

fn as_destination(domain: &Arc<Domain>) -> Destination {
    match domain.name.is_dom0() {
        true => Destination::Dom0,
        false => Destination::Domain(domain.clone()),
    }
}
