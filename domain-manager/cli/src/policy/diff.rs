// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy diff`.

use std::fmt::Write as _;

use bulkhead_policy::{Policy, Rule};
use policy_analysis::{Change, Decided, Difference, Kind, by_rules, listed};
use serde::Serialize;

use super::answer::{RuleText, rule_text};
use super::arguments::{Diff, Format};
use super::source;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};

/// So many groups of calls are told to people for one pair of rules.
const GROUPS_MAX: usize = 8;

#[derive(Serialize)]
struct Differs {
    compared: u64,
    changed: usize,
    changes: Vec<ChangeText>,
}

#[derive(Serialize)]
struct ChangeText {
    calls: usize,
    services: Vec<KindText>,
    sources: Vec<String>,
    targets: Vec<String>,
    before: Side,
    after: Side,
}

#[derive(Serialize)]
struct Side {
    #[serde(flatten)]
    decided: Decided,
    rule: Option<RuleText>,
}

/// A service with its argument; `*` is every one that no rule names.
#[derive(Serialize)]
pub struct KindText {
    service: String,
    argument: String,
}

impl KindText {
    pub fn new(kind: &Kind) -> Self {
        let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        Self {
            service: text(&kind.service),
            argument: text(&kind.argument),
        }
    }

    /// In one word: `SERVICE`, or `SERVICE+ARGUMENT` where the argument counts.
    pub fn told(&self) -> String {
        match (self.service.as_str(), self.argument.as_str()) {
            ("*", _) => "any other service".to_owned(),
            (service, "*") => service.to_owned(),
            (service, argument) => format!("{service}{argument}"),
        }
    }
}

pub fn diff(client: &Client, asked: &Diff, json: bool) -> Result<u8, Failure> {
    let older = asked.old_policy.as_deref();
    let old = source::named(&asked.old, older)?;
    let new = match &asked.new {
        Some(new) => source::named(new, older)?,
        None => source::own(client, older)?,
    };
    let system = source::system(client, &asked.system)?;
    let difference = Difference::between(&old, &new, &system);
    match json || asked.format == Format::Json {
        true => print_json(&in_json(&difference, &old, &new))?,
        false => print(&told(&difference, &old, &new))?,
    }
    Ok(u8::from(asked.exit_code && !difference.changes.is_empty()))
}

fn in_json(difference: &Difference<'_>, old: &Policy, new: &Policy) -> Differs {
    let side = |decided: &Decided, policy: &Policy, rule: Option<&Rule>| Side {
        decided: decided.clone(),
        rule: rule.map(|rule| rule_text(policy, rule)),
    };
    let change = |change: &Change<'_>| ChangeText {
        calls: change.calls(),
        services: change.kinds.iter().map(KindText::new).collect(),
        sources: change.sources.clone(),
        targets: change.targets.clone(),
        before: side(&change.before, old, change.old_rule),
        after: side(&change.after, new, change.new_rule),
    };
    Differs {
        compared: difference.compared,
        changed: difference.changed(),
        changes: difference.changes.iter().map(change).collect(),
    }
}

fn told(difference: &Difference<'_>, old: &Policy, new: &Policy) -> String {
    let compared = difference.compared;
    if difference.changes.is_empty() {
        return format!("No decision changes, of {compared}.\n");
    }
    let mut text = String::new();
    let rule = |when: &str, policy: &Policy, rule: Option<&Rule>| {
        let told = match rule.map(|rule| rule_text(policy, rule)) {
            Some(rule) => format!("{}   {}:{}", rule.text, rule.file, rule.line),
            None => "no rule".to_owned(),
        };
        format!("  {when} {told}\n")
    };
    for group in by_rules(difference) {
        let Some(first) = group.first() else {
            continue;
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}  ⇒  {}", first.before, first.after);
        text.push_str(&rule("was", old, first.old_rule));
        text.push_str(&rule("now", new, first.new_rule));
        for change in group.iter().take(GROUPS_MAX) {
            let kinds: Vec<_> = change
                .kinds
                .iter()
                .map(|k| KindText::new(k).told())
                .collect();
            let (sources, targets) = (listed(&change.sources), listed(&change.targets));
            let _ = writeln!(text, "    {}: {sources} → {targets}", listed(&kinds));
        }
        if let Some(rest) = group.get(GROUPS_MAX..).filter(|rest| !rest.is_empty()) {
            let calls: usize = rest.iter().map(|change| change.calls()).sum();
            let _ = writeln!(text, "    and {calls} further calls");
        }
        text.push('\n');
    }
    let changed = difference.changed();
    let _ = writeln!(text, "Decisions that change: {changed}, of {compared}.");
    text
}
