// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy who-can`.

use std::collections::BTreeSet;

use bulkhead_policy::{DomainRef, Policy, ServicePattern, System, nearest};
use clap::Args;
use comfy_table::{Table, presets};
use policy_analysis::{Access, Decided, listed, who_can};
use serde::Serialize;

use super::answer::{RuleText, rule_text};
use super::arguments::{Format, PolicyFrom, SystemFrom};
use super::diff::KindText;
use super::source;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json, without_margins};

#[derive(Debug, Args)]
#[command(after_long_help = WHO_CAN_HELP)]
pub struct WhoCan {
    /// The service; with `+ARGUMENT`, with that argument only
    service: String,
    /// Only calls to this target: a domain, dom0, @dispvm, @default …; the word `to` may be left out
    #[arg(num_args = 1..=2, value_names = ["to", "TARGET"], conflicts_with = "to")]
    of_target: Vec<String>,
    /// The same as `to TARGET`
    #[arg(long, value_name = "TARGET")]
    to: Option<String>,
    #[command(flatten)]
    policy: PolicyFrom,
    #[command(flatten)]
    system: SystemFrom,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const WHO_CAN_HELP: &str = "\
In JSON, each answer holds service, argument, source, requested_targets, what becomes of such a call
(verdict, target, targets …, as in `explain --help`), and the rule with file, line and text.

The exit code is 0 also when the answer is nobody; 1 when the policy has errors or the domains are not
known; 2 for wrong usage.";

#[derive(Serialize)]
struct AccessText {
    #[serde(flatten)]
    kind: KindText,
    source: String,
    /// The targets as the caller names them.
    requested_targets: Vec<String>,
    #[serde(flatten)]
    decided: Decided,
    rule: RuleText,
}

pub fn show(client: &Client, asked: &WhoCan, json: bool) -> Result<u8, Failure> {
    let policy = source::policy(client, &asked.policy)?;
    let system = source::system(client, &asked.system)?;
    let (service, argument) = split(&asked.service);
    let target = target(asked)?.map(|to| match to {
        "@adminvm" => "dom0",
        "" => "@default",
        other => other,
    });
    let found = who_can(&policy, &system, service, argument.as_deref(), target);
    if json || asked.format == Format::Json {
        let text = |access: &Access<'_>| AccessText {
            kind: KindText::new(&access.kind),
            source: access.source.clone(),
            requested_targets: access.targets.clone(),
            decided: access.decided.clone(),
            rule: rule_text(&policy, access.rule),
        };
        print_json(&found.iter().map(text).collect::<Vec<_>>())?;
    } else {
        print(&told(&found, &policy))?;
        if found.is_empty() {
            let unknown = [
                unknown_service(service, &policy),
                target.and_then(|to| unknown_target(to, &system)),
            ];
            print(&unknown.into_iter().flatten().collect::<String>())?;
        }
    }
    Ok(0)
}

/// A sentence about a service that no rule names: a misspelt one is called by nobody.
pub fn unknown_service(service: &str, policy: &Policy) -> Option<String> {
    let likely = if_unknown(service, policy)?;
    Some(format!("No rule names the service `{service}`.{likely}\n"))
}

/// What may be meant instead of a service that no rule names, as a question or nothing; `None` for
/// one that is named.
pub fn if_unknown(service: &str, policy: &Policy) -> Option<String> {
    let named = policy.rules().filter_map(|rule| match &rule.service {
        ServicePattern::Named(name) => Some(&**name),
        ServicePattern::Any => None,
    });
    let named: BTreeSet<&str> = named.collect();
    let missing = !named.contains(service);
    missing.then(|| did_you_mean(service, named))
}

/// A sentence about a target that is not there.
fn unknown_target(target: &str, system: &System) -> Option<String> {
    let domain = DomainRef::parse(target.strip_prefix("@dispvm:").unwrap_or(target)).ok()?;
    let missing = !domain.is_dom0() && system.find(&domain).is_none();
    let names = system.domains().iter().map(|domain| domain.name.as_str());
    let likely = missing.then(|| did_you_mean(target, names))?;
    Some(format!("There is no domain `{target}`.{likely}\n"))
}

/// A question about what a word was meant to be, or nothing.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let likely = nearest(word, known);
    likely.map_or(String::new(), |likely| format!(" Did you mean `{likely}`?"))
}

/// The target that was named, in either way.
fn target(asked: &WhoCan) -> Result<Option<&str>, Failure> {
    match &asked.of_target[..] {
        [] => Ok(asked.to.as_deref()),
        [to, target] if to == "to" => Ok(Some(target)),
        [target] if target != "to" => Ok(Some(target)),
        words => Err(
            Failure::new(format!("`{}` cannot be understood", words.join(" ")))
                .hint(format!(
                    "bulkhead policy who-can {} to TARGET",
                    asked.service
                ))
                .usage(),
        ),
    }
}

fn told(found: &[Access<'_>], policy: &Policy) -> String {
    if found.is_empty() {
        return "Nobody.\n".to_owned();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["WHO", "MAY CALL", "OF", "", "RULE"]);
    for access in found {
        let rule = rule_text(policy, access.rule);
        let verdict = match (&access.decided.target, access.decided.verdict) {
            (Some(target), verdict) => format!("{verdict}, goes to {target}"),
            (None, verdict) => verdict.to_owned(),
        };
        table.add_row([
            access.source.clone(),
            KindText::new(&access.kind).told(),
            listed(&access.targets),
            verdict,
            format!("{}:{}", rule.file, rule.line),
        ]);
    }
    without_margins(&table)
}

/// A service and its argument with the `+`, if it has one.
pub fn split(service: &str) -> (&str, Option<String>) {
    match service.split_once('+') {
        Some((name, argument)) => (name, Some(format!("+{argument}"))),
        None => (service, None),
    }
}
