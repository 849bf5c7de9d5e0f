// SPDX-License-Identifier: GPL-3.0-or-later
//! Names, tags and classes that rules use and a system does not have.

use std::collections::HashMap;

use bulkhead_policy::{
    Action, Diagnostic, DomainPattern, DomainRef, Location, Pattern, Policy, Redirect, Rule,
    SourceMap, Span, System, nearest,
};

/// What is told of a name, and not of a rule.
const CODES: [&str; 4] = [
    "no-such-domain",
    "no-such-tag",
    "no-such-class",
    "not-a-template",
];

/// So many further places are named.
const PLACES_MAX: usize = 3;

const CLASSES: [&str; 6] = [
    "AdminVM",
    "AppVM",
    "DispVM",
    "RemoteVM",
    "StandaloneVM",
    "TemplateVM",
];

/// What is wrong with one word of a rule.
struct Wrong {
    code: &'static str,
    message: String,
    likely: Option<String>,
}

pub(crate) fn findings(rule: &Rule, policy: &Policy, system: &System) -> Vec<Diagnostic> {
    let told = |(word, wrong): (String, Wrong)| {
        Diagnostic::warning(span_of(&word, rule, policy), wrong.message)
            .code(wrong.code)
            .did_you_mean(wrong.likely)
    };
    wrong_words(rule, system).into_iter().map(told).collect()
}

/// Of findings that say the same, the first, with the places of the others: rules for what was
/// not installed come in dozens, and each names it.
pub fn each_once(findings: Vec<Diagnostic>, sources: &SourceMap) -> Vec<Diagnostic> {
    let mut kept: Vec<(Diagnostic, Vec<Location>)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for finding in findings {
        let of_a_name = finding.code.is_some_and(|code| CODES.contains(&code));
        let (true, Some(span)) = (of_a_name, finding.span) else {
            kept.push((finding, Vec::new()));
            continue;
        };
        let here = sources.location(span);
        match known.get(&finding.message) {
            None => {
                known.insert(finding.message.clone(), kept.len());
                kept.push((finding, vec![here]));
            }
            Some(first) => {
                let places = &mut kept[*first].1;
                let same = |at: &Location| at.file == here.file && at.line == here.line;
                if !places.iter().any(same) {
                    places.push(here);
                }
            }
        }
    }
    let with_places = |(finding, places): (Diagnostic, Vec<Location>)| {
        let again = places.get(1..).unwrap_or_default();
        let named: Vec<_> = again
            .iter()
            .take(PLACES_MAX)
            .map(|at| at.to_string())
            .collect();
        let named = named.join(", ");
        match again.len().saturating_sub(PLACES_MAX) {
            _ if again.is_empty() => finding,
            0 => finding.note(format!("also at {named}")),
            more => finding.note(format!("also at {named} and {more} more")),
        }
    };
    kept.into_iter().map(with_places).collect()
}

/// The words of a rule that mean nothing here.
fn wrong_words(rule: &Rule, system: &System) -> Vec<(String, Wrong)> {
    let mut found = Vec::new();
    let mut add = |word: String, wrong: Option<Wrong>| found.extend(wrong.map(|w| (word, w)));
    for pattern in [&rule.source, &rule.target] {
        match pattern {
            Pattern::Domain(name) => add(name.to_string(), no_domain(name, system, false)),
            Pattern::DispVmOf(name) => add(name.to_string(), no_domain(name, system, true)),
            Pattern::Tag(tag) | Pattern::DispVmTag(tag) => {
                add(tag.to_string(), no_tag(tag, system))
            }
            Pattern::Type(class) => add(class.to_string(), no_class(class, system)),
            _ => {}
        }
    }
    let default = match &rule.action {
        Action::Ask { default_target, .. } => default_target.as_ref(),
        _ => None,
    };
    for redirect in rule.action.redirect().into_iter().chain(default) {
        match redirect {
            Redirect::Domain(name) => add(name.to_string(), no_domain(name, system, false)),
            Redirect::DispVmOf(name) => add(name.to_string(), no_domain(name, system, true)),
            Redirect::AdminVm | Redirect::DispVm => {}
        }
    }
    found
}

fn no_domain(pattern: &DomainPattern, system: &System, template: bool) -> Option<Wrong> {
    let text = pattern.to_string();
    let parsed = DomainRef::parse(&text);
    let Some(known) = parsed.ok().and_then(|domain| system.find(&domain)) else {
        let names = system.domains().iter().map(|d| d.name.as_str());
        return Some(Wrong {
            code: "no-such-domain",
            message: format!("there is no domain `{text}`"),
            likely: nearest(&text, names),
        });
    };
    (template && !known.template_for_dispvms).then(|| Wrong {
        code: "not-a-template",
        message: format!("`{text}` is no template for disposables"),
        likely: None,
    })
}

fn no_tag(tag: &str, system: &System) -> Option<Wrong> {
    let tags = || system.domains().iter().flat_map(|d| &d.tags);
    (!tags().any(|own| own == tag)).then(|| Wrong {
        code: "no-such-tag",
        message: format!("no domain has the tag `{tag}`"),
        likely: nearest(tag, tags().map(String::as_str)),
    })
}

/// A class that exists may have no domain today.
fn no_class(class: &str, system: &System) -> Option<Wrong> {
    let here = system.domains().iter().any(|d| *d.class == *class);
    (!here && !CLASSES.contains(&class)).then(|| Wrong {
        code: "no-such-class",
        message: format!("there is no class `{class}`"),
        likely: nearest(class, CLASSES),
    })
}

/// Where a name stands in a rule's text: whole, after the service and argument; or the rule.
fn span_of(name: &str, rule: &Rule, policy: &Policy) -> Span {
    let text = policy.sources().text(rule.span);
    let ends = |c: char| c.is_whitespace() || c == ',';
    let whole = |at: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        before.is_none_or(|c| ends(c) || matches!(c, ':' | '=')) && after.is_none_or(ends)
    };
    let mut places = text.match_indices(name).map(|(at, _)| at);
    match places.find(|at| *at >= fields_start(text) && whole(*at)) {
        None => rule.span,
        Some(at) => {
            let start = rule.span.start as usize + at;
            Span::new(rule.span.file, start, start + name.len())
        }
    }
}

/// Where the source begins: a rule of the older form has no service and argument before it.
fn fields_start(text: &str) -> usize {
    let mut words = text.split_whitespace();
    let argument = words.nth(1).filter(|w| *w == "*" || w.starts_with('+'));
    let at = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    match (argument, words.next(), words.next().is_some()) {
        (Some(_), Some(source), true) => at(source),
        _ => 0,
    }
}
