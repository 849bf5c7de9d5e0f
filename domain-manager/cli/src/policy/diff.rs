// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy diff`.

use std::fmt::Write as _;
use std::io::Write as _;

use bulkhead_policy::{Policy, Rule};
use policy_analysis::{Change, Decided, Difference, Kind, by_rules, listed};
use serde::Serialize;

use super::answer::{RuleText, rule_text};
use super::arguments::{Diff, Format};
use super::source;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::print;

/// So many groups of calls are told to people for one pair of rules.
const GROUPS_MAX: usize = 8;

#[derive(Serialize)]
struct ChangeText<'d> {
    calls: usize,
    services: Vec<KindText>,
    sources: Vec<&'d str>,
    targets: Vec<&'d str>,
    before: Side<'d>,
    after: Side<'d>,
}

#[derive(Serialize)]
struct Side<'d> {
    #[serde(flatten)]
    decided: &'d Decided,
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
    let old = source::named(client, &asked.old, older)?;
    let new = match &asked.new {
        Some(new) => source::named(client, new, older)?,
        None => source::own(client, older)?,
    };
    let system = source::system(client, &asked.system)?;
    let difference = Difference::between(&old, &new, &system);
    match json || asked.format == Format::Json {
        true => match write_json(&difference, &old, &new) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                return Err(Failure::new("cannot write the answer").because(&error));
            }
            _ => {}
        },
        false => print(&told(&difference, &old, &new))?,
    }
    Ok(u8::from(asked.exit_code && !difference.changes.is_empty()))
}

/// Writes one object, with a line for each change: there can be very many.
fn write_json(difference: &Difference<'_>, old: &Policy, new: &Policy) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let (compared, changed) = (difference.compared, difference.changed());
    write!(
        out,
        "{{\"compared\":{compared},\"changed\":{changed},\"changes\":["
    )?;
    for (n, change) in difference.changes.iter().enumerate() {
        out.write_all(if n == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut out, &in_json(change, old, new))?;
    }
    out.write_all(b"\n]}\n")?;
    out.flush()
}

fn in_json<'d>(change: &'d Change<'_>, old: &Policy, new: &Policy) -> ChangeText<'d> {
    let side = |decided: &'d Decided, policy: &Policy, rule: Option<&Rule>| Side {
        decided,
        rule: rule.map(|rule| rule_text(policy, rule)),
    };
    ChangeText {
        calls: change.calls(),
        services: change
            .kinds
            .iter()
            .map(|kind| KindText::new(kind))
            .collect(),
        sources: change.sources.iter().map(AsRef::as_ref).collect(),
        targets: change.targets.iter().map(AsRef::as_ref).collect(),
        before: side(&change.before, old, change.old_rule),
        after: side(&change.after, new, change.new_rule),
    }
}

pub fn told(difference: &Difference<'_>, old: &Policy, new: &Policy) -> String {
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
