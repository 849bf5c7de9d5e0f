// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a field of a rule, looked at alone, means what a call brings. No decision rests on
//! this: the language finds rules by its index.

use bulkhead_policy::{
    ArgumentPattern, Caller, DomainPattern, DomainRef, Pattern, Rule, ServicePattern, System,
    Target,
};
use bulkhead_types::{DomainName, Service};

/// Whether the service field means this service.
pub(crate) fn means_service(rule: &Rule, service: &Service) -> bool {
    match &rule.service {
        ServicePattern::Any => true,
        ServicePattern::Named(name) => **name == *service.name().as_str(),
    }
}

/// Whether the argument field means an argument, given with its `+`.
pub(crate) fn means_argument(rule: &Rule, argument: &str) -> bool {
    match &rule.argument {
        ArgumentPattern::Any => true,
        ArgumentPattern::Exactly(only) => **only == *argument,
    }
}

/// Whether a rule's source field means a caller.
pub(crate) fn means_caller(pattern: &Pattern, caller: &Caller<'_>) -> bool {
    match pattern {
        Pattern::Any => true,
        Pattern::AnyVm => !caller.dom0,
        Pattern::AdminVm => caller.dom0,
        Pattern::Domain(domain) => match (caller.domain, caller.reference) {
            (Some(own), _) => domain.is(own),
            (None, DomainRef::Name(name)) => *domain == DomainPattern::Name(name.as_str().into()),
            (None, DomainRef::Uuid(uuid)) => *domain == DomainPattern::Uuid(uuid.as_str().into()),
        },
        Pattern::Tag(tag) => caller.domain.is_some_and(|d| d.has_tag(tag)),
        Pattern::Type(class) => caller.domain.is_some_and(|d| *d.class == **class),
        Pattern::Default | Pattern::DispVm | Pattern::DispVmOf(_) | Pattern::DispVmTag(_) => false,
    }
}

/// Whether a rule's target field means a target, when `caller` asks.
pub(crate) fn means_target(
    pattern: &Pattern,
    target: &Target,
    caller: &Caller<'_>,
    system: &System,
) -> bool {
    match (pattern, target) {
        (Pattern::Any, _) => true,
        (Pattern::AnyVm, target) => *target != Target::AdminVm,
        (Pattern::AdminVm, target) => *target == Target::AdminVm,
        (Pattern::Default, target) => *target == Target::Default,
        (Pattern::DispVm, target) => *target == Target::DispVm,
        (Pattern::Domain(pattern), Target::Domain { domain, .. }) => pattern.is(domain),
        (Pattern::Tag(_) | Pattern::Type(_), _) => {
            let domain = match target {
                Target::Domain { domain, .. } => Some(domain),
                Target::AdminVm => system.get(&DomainName::dom0()),
                _ => None,
            };
            domain.is_some_and(|domain| match pattern {
                Pattern::Tag(tag) => domain.has_tag(tag),
                Pattern::Type(class) => *domain.class == **class,
                _ => false,
            })
        }
        (Pattern::DispVmOf(_) | Pattern::DispVmTag(_), _) => {
            let template = match target {
                Target::DispVmOf { template, .. } => Some(template),
                Target::DispVm => caller.disposable(system),
                _ => None,
            };
            template.is_some_and(|template| match pattern {
                Pattern::DispVmOf(pattern) => pattern.is(template),
                Pattern::DispVmTag(tag) => template.template_for_dispvms && template.has_tag(tag),
                _ => false,
            })
        }
        (Pattern::Domain(_), _) => false,
    }
}
