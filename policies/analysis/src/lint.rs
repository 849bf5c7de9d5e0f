// SPDX-License-Identifier: GPL-3.0-or-later
//! What is suspicious about a policy that parses.
//!
//! Each finding is a warning with a code, which programs and people can look up:
//!
//! | code | what |
//! |---|---|
//! | `shadowed` | an earlier rule takes all calls of this one |
//! | `never-decides` | earlier rules together do, in this system |
//! | `no-such-domain`, `no-such-tag`, `no-such-class` | what the rule names is not there |
//! | `not-a-template` | a disposable of what is no template for disposables |
//! | `unknown-service` | a service that looks like a misspelt one |
//! | `dangerous-wildcard` | everybody may do what amounts to control |
//! | `never-answered` | it asks, and there is nobody to ask or nothing to choose |
//! | `default-not-offered` | the choice to offer first is never among the choices |
//! | `reaches-network`, `reaches-dom0`, `reaches-offline` | see the module `reach` |

use bulkhead_policy::{
    Action, Diagnostic, DomainRef, Pattern, Policy, Redirect, Rule, ServicePattern, System, nearest,
};

use crate::kind::kinds_of;
use crate::missing;
use crate::outcome::{Outcome, Values};
use crate::plane::Plane;
use crate::reach::{self, Networks};
use crate::relation::Relation;
use crate::services::{self, Power};
use crate::shadow::shadowed;

/// Looks at a policy by itself and, if there is one, in a system. `networks` says what the
/// system information leaves out; without it, the network is not looked at.
pub fn lint(
    policy: &Policy,
    system: Option<&System>,
    networks: Option<&Networks>,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (rule, earlier) in shadowed(policy) {
        let message = "the rule decides no call: an earlier one takes them all";
        let warning = Diagnostic::warning(rule.span, message).code("shadowed");
        found.push(warning.note_at(earlier.span, format!("by {}", earlier.location)));
    }
    for rule in policy.rules() {
        found.extend(misspelt_service(rule));
        found.extend(dangerous(rule));
        if let Some(system) = system {
            found.extend(missing::findings(rule, policy, system));
        }
    }
    if let Some(system) = system {
        in_system(policy, system, &mut found);
        found.extend(reach::findings(policy, system, networks));
    }
    // As they stand in the text.
    let place = |d: &Diagnostic| d.span.map(|span| (span.file, span.start));
    found.sort_by_key(place);
    found
}

fn misspelt_service(rule: &Rule) -> Option<Diagnostic> {
    let ServicePattern::Named(name) = &rule.service else {
        return None;
    };
    if services::service(name).is_some() {
        return None;
    }
    let likely = nearest(name, services::names())?;
    // `qubes.Gpg3` is as near as `qubes.FileCopy`; only a difference in case is no accident.
    if !likely.eq_ignore_ascii_case(name) && likely.len().abs_diff(name.len()) != 1 {
        return None;
    }
    let message = format!("no service is known as `{name}`");
    let warning = Diagnostic::warning(rule.span, message).code("unknown-service");
    Some(warning.help(format!("did you mean `{likely}`?")))
}

fn dangerous(rule: &Rule) -> Option<Diagnostic> {
    let wide = |pattern: &Pattern| matches!(pattern, Pattern::Any | Pattern::AnyVm);
    let Action::Allow(options) = &rule.action else {
        return None;
    };
    if !wide(&rule.source) {
        return None;
    }
    let (what, control) = match &rule.service {
        ServicePattern::Any => ("every service".to_owned(), true),
        ServicePattern::Named(name) => {
            let does = services::service(name).map(|known| format!(", which {}", known.does));
            let what = format!("`{name}`{}", does.unwrap_or_default());
            (what, services::power(name) == Power::Control)
        }
    };
    // A disposable of one's own is there to be controlled.
    let own = |to: &Redirect| *to == Redirect::DispVm;
    let harmless = match &options.target {
        Some(redirect) => own(redirect),
        None => rule.target == Pattern::DispVm,
    };
    if !control || harmless {
        return None;
    }
    let message = format!("every domain may call {what}, without being asked");
    let warning = Diagnostic::warning(rule.span, message).code("dangerous-wildcard");
    Some(warning.help("name the callers, or write `ask`"))
}

/// What each rule comes to, over all calls of the system.
#[derive(Clone, Copy, Default)]
struct Use {
    decides: bool,
    asks: bool,
    answered: bool,
    default_offered: bool,
}

fn in_system(policy: &Policy, system: &System, found: &mut Vec<Diagnostic>) {
    let plane = Plane::new(system);
    let relation = Relation::new(policy, &plane);
    let mut uses = vec![Use::default(); relation.rules.len()];
    let mut values = Values::default();
    for kind in kinds_of(&[&relation]) {
        let about = relation.about(&kind);
        for row in 0..plane.rows.len() {
            for part in relation.parts(&about, row, &plane, &mut values) {
                let Some(rule) = part.rule else {
                    continue;
                };
                uses[rule].decides = true;
                if let Outcome::Ask { question, .. } = part.outcome {
                    let question = values.questions.get(question);
                    uses[rule].asks = true;
                    uses[rule].default_offered |= question.default.is_some();
                    let name = &plane.rows[row].name;
                    let caller = system.find(&DomainRef::Name(name.clone()));
                    // Dom0 has a screen of its own.
                    uses[rule].answered |=
                        name.is_dom0() || caller.is_some_and(|d| d.guivm.is_some());
                }
            }
        }
    }
    let shadowed: Vec<_> = shadowed(policy)
        .into_iter()
        .map(|(rule, _)| rule.span)
        .collect();
    for (rule, of) in relation.rules.iter().zip(uses) {
        let mut finding = |code, message: &str, help: &str| {
            let warning = Diagnostic::warning(rule.span, message).code(code);
            found.push(warning.help(help));
        };
        if !of.decides {
            // What names nothing that exists was reported as that.
            if !shadowed.contains(&rule.span) && means_something(rule, &plane) {
                let message = "the rule decides no call of this system: earlier ones take them all";
                finding("never-decides", message, "move it up, or delete it");
            }
            continue;
        }
        let Action::Ask { default_target, .. } = &rule.action else {
            continue;
        };
        match (of.asks, of.answered) {
            (false, _) => finding(
                "never-answered",
                "the rule asks, but there is never a target to choose",
                "add `target=DOMAIN`, or rules that allow some targets",
            ),
            (true, false) => finding(
                "never-answered",
                "the rule asks, but none of its callers is on anybody's screen",
                "write `allow` or `deny`; callers without a `guivm` are refused unasked",
            ),
            (true, true) if default_target.is_some() && !of.default_offered => finding(
                "default-not-offered",
                "the `default_target=` is never among the targets to choose",
                "it has to be a target that some rule for the caller allows",
            ),
            _ => {}
        }
    }
}

fn means_something(rule: &Rule, plane: &Plane<'_>) -> bool {
    let columns = plane.columns_of(&rule.target);
    let rows = plane.rows_of(&rule.source);
    !rows.is_empty() && (!columns.set.is_empty() || columns.own.meets(&rows))
}
