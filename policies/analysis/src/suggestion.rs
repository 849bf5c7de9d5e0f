// SPDX-License-Identifier: GPL-3.0-or-later
//! The smallest rule that would allow a call that is refused, and no other.
//!
//! A rule names one service with one argument, one source and one target, so it decides no
//! other call, with two exceptions that the language has. A rule for `@dispvm:NAME` also
//! decides `@dispvm` for a caller whose default is NAME; that call keeps its refusal by a rule
//! of its own in front. And a target that may be called stands in the list that `ask` offers
//! for the same service: the list grows by it, but a question that was refused for want of any
//! choice must not come up because of it, so then there is no suggestion.

use bulkhead_policy::{
    Action, Call, Caller, Denial, Destination, Location, Policy, Reason, Requested, Rule, System,
    Target, Verdict,
};

use crate::matching::{means_argument, means_caller};

/// A rule that would allow a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The rule, or two rules on a line each.
    pub rule: String,
    /// The rule that refuses the call now: the suggested one has to stand before it. Without
    /// one, it may stand anywhere.
    pub before: Option<Location>,
}

/// What would allow `call`, which is refused for `reason`; or why nothing would. `about` are
/// the rules about the call's service.
pub(crate) fn allowing<'r>(
    policy: &Policy,
    system: &System,
    call: &Call,
    reason: &Reason,
    about: impl Iterator<Item = &'r Rule>,
) -> Result<Suggestion, String> {
    let caller = Caller::new(&call.source, system);
    let Ok(target) = Target::of(&call.target, system) else {
        return Err("no rule can allow it: there is no such template".to_owned());
    };
    if target == Target::Default {
        return Err(
            "a rule can only allow a call without a target by choosing one: \
                    `@default` with `target=`"
                .to_owned(),
        );
    }
    let destination = Policy::if_allowed(system, call)
        .map_err(|denial| format!("no rule can allow it: {denial}"))?;
    let fields = fields(call, &caller);
    let mut rule = format!("{fields} {} allow", by_name(&target));
    if let Target::DispVmOf { template, .. } = &target
        && caller
            .disposable(system)
            .is_some_and(|own| own.name == template.name)
    {
        let word = Call {
            target: Requested::DispVm,
            ..call.clone()
        };
        match policy.evaluate(system, &word) {
            Verdict::Allow(grant) if grant.destination() == &destination => {}
            Verdict::Deny(reason) => {
                let quietly = if reason.notify() { "" } else { " notify=no" };
                rule = format!("{fields} @dispvm deny{quietly}\n{rule}");
            }
            _ => return Err("a rule that allows it would also decide `@dispvm`".to_owned()),
        }
    }
    if let Some(asks) = asks_for_want(policy, system, call, &target, &destination, about) {
        return Err(format!(
            "a rule that allows it would also give {asks} a target to ask for"
        ));
    }
    Ok(Suggestion {
        rule,
        before: reason.rule().map(|rule| rule.location.clone()),
    })
}

/// Service, argument and source as a rule names them.
fn fields(call: &Call, caller: &Caller<'_>) -> String {
    let (name, argument) = (call.service.name(), call.service.policy_argument());
    match (caller.dom0, caller.domain) {
        (true, _) => format!("{name} {argument} @adminvm"),
        (false, Some(domain)) => format!("{name} {argument} {}", domain.name),
        (false, None) => format!("{name} {argument} {}", call.source),
    }
}

/// The target as a rule names it; by name, however the call did.
fn by_name(target: &Target) -> String {
    match target {
        Target::Domain { domain, .. } => domain.name.to_string(),
        Target::DispVmOf { template, .. } => format!("@dispvm:{}", template.name),
        other => other.to_string(),
    }
}

/// A rule that asks, is refused because there is nothing to choose, and would no longer be if
/// `destination` could be called.
fn asks_for_want<'r>(
    policy: &Policy,
    system: &System,
    call: &Call,
    own: &Target,
    destination: &Destination,
    about: impl Iterator<Item = &'r Rule>,
) -> Option<Location> {
    let (listed, starts) = match destination {
        Destination::Dom0 => (true, false),
        Destination::Domain(domain) => (!domain.internal, !domain.is_running()),
        Destination::Disposable(template) => (!template.internal, true),
    };
    if !listed {
        return None;
    }
    let caller = Caller::new(&call.source, system);
    let argument = call.service.policy_argument();
    // Whether it starts what is off, of each rule that asks with the list.
    let asks: Vec<bool> = about
        .filter(|rule| means_argument(rule, &argument) && means_caller(&rule.source, &caller))
        .filter_map(|rule| match &rule.action {
            Action::Ask { options, .. } if options.target.is_none() => Some(options.autostart),
            _ => None,
        })
        .collect();
    if asks.is_empty() {
        return None;
    }
    let choices = policy.choices(system, call);
    let running = |choice: &Destination| match choice {
        Destination::Dom0 => true,
        Destination::Domain(domain) => domain.is_running(),
        Destination::Disposable(_) => false,
    };
    let wants = |autostart: &bool| match autostart {
        true => choices.is_empty(),
        false => !starts && !choices.iter().any(running),
    };
    if choices.contains(destination) || !asks.iter().any(wants) {
        return None;
    }
    let others = every_target(system);
    let mut others = others.filter(|other| Target::of(other, system).as_ref() != Ok(own));
    others.find_map(|target| {
        let other = Call {
            target,
            ..call.clone()
        };
        match policy.evaluate(system, &other) {
            Verdict::Deny(reason) if *reason.denial() == Denial::NoChoices => {
                let rule = reason.rule()?;
                let autostart =
                    matches!(&rule.action, Action::Ask { options, .. } if options.autostart);
                (autostart || !starts).then(|| rule.location.clone())
            }
            _ => None,
        }
    })
}

/// Every target that a call can have in a system, each once.
fn every_target(system: &System) -> impl Iterator<Item = Requested> {
    use bulkhead_policy::DomainRef::Name;
    let domains = || system.domains().iter();
    let plain = domains()
        .filter(|d| !d.name.is_dom0())
        .map(|d| Requested::Domain(Name(d.name.clone())));
    let disposables = domains()
        .filter(|d| d.template_for_dispvms)
        .map(|d| Requested::DispVmOf(Name(d.name.clone())));
    [Requested::Default, Requested::AdminVm, Requested::DispVm]
        .into_iter()
        .chain(plain)
        .chain(disposables)
}
