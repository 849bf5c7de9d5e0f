// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy diff`.

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bulkhead_policy::{Policy, Rule};
use clap::Args;
use policy_analysis::{Change, Decided, Difference, Kind, by_rules, listed};
use serde::Serialize;

use super::answer::{RuleText, rule_text};
use super::arguments::{Format, SystemFrom};
use super::source;
use crate::client::Client;
use crate::failure::Failure;

#[derive(Debug, Args)]
#[command(after_long_help = DIFF_HELP)]
pub struct Diff {
    /// A policy: a directory, several with colons between them (highest priority first), a
    /// file alone, `@NUMBER` for a generation, or `@live`
    #[arg(value_name = "A", default_value = "@live")]
    old: String,
    /// Another one; without it, the working copy in the policy directories
    #[arg(value_name = "B")]
    new: Option<String>,
    /// The directory that `!compat-4.0` reads, for both
    #[arg(long = "old-policy", value_name = "DIR")]
    old_policy: Option<PathBuf>,
    #[command(flatten)]
    system: SystemFrom,
    /// Exit with 1 if any decision differs
    #[arg(long)]
    exit_code: bool,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const DIFF_HELP: &str = "\
The difference is exact for every call that can be made in the system: from each domain and dom0, to
each domain, dom0, @default, @dispvm and @dispvm:TEMPLATE, for each service and argument that either
policy names, and for any that neither does.

In JSON, each of `changes` is about every service of `services`, from every one of `sources`, to every
one of `targets`; no call is in two. The argument `*` is any that no rule of that service names, the
service `*` any that no rule names. `before` and `after` hold verdict, target (null where an allowed
call goes where it was meant to go), targets, default_target, user, autostart, notify and rule.
A domain is never offered itself, even if `targets` holds it for the others.

The exit code is 0 when the policies were compared, whether they differ or not; with --exit-code 1 when
any decision differs. It is 1 also when a policy has errors, and 2 for wrong usage.";

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
    // There can be very many changes.
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let written = match json || asked.format == Format::Json {
        true => write_json(&mut out, &difference, &old, &new),
        false => tell(&mut out, &difference, &old, &new),
    };
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            return Err(Failure::new("cannot write the answer").because(&error));
        }
        _ => {}
    }
    Ok(u8::from(asked.exit_code && !difference.changes.is_empty()))
}

/// Writes one object, with a line for each change.
fn write_json(
    out: &mut impl Write,
    difference: &Difference<'_>,
    old: &Policy,
    new: &Policy,
) -> std::io::Result<()> {
    let (compared, changed) = (difference.compared, difference.changed());
    write!(
        out,
        "{{\"compared\":{compared},\"changed\":{changed},\"changes\":["
    )?;
    for (n, change) in difference.changes.iter().enumerate() {
        out.write_all(if n == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, &in_json(change, old, new))?;
    }
    out.write_all(b"\n]}\n")
}

fn in_json<'d>(change: &'d Change<'_>, old: &Policy, new: &Policy) -> ChangeText<'d> {
    let side = |decided: &'d Decided, policy: &Policy, rule: Option<&Rule>| Side {
        decided,
        rule: rule.map(|rule| rule_text(policy, rule)),
    };
    ChangeText {
        calls: change.calls(),
        services: change.kinds().map(KindText::new).collect(),
        sources: change.sources().collect(),
        targets: change.targets().collect(),
        before: side(&change.before, old, change.old_rule),
        after: side(&change.after, new, change.new_rule),
    }
}

/// The difference as text.
pub fn told(difference: &Difference<'_>, old: &Policy, new: &Policy) -> String {
    let mut text = Vec::new();
    // Writing to memory cannot fail.
    let _ = tell(&mut text, difference, old, new);
    String::from_utf8(text).unwrap_or_default()
}

/// Writes the difference for people.
fn tell(
    out: &mut impl Write,
    difference: &Difference<'_>,
    old: &Policy,
    new: &Policy,
) -> std::io::Result<()> {
    let compared = difference.compared;
    if difference.changes.is_empty() {
        return writeln!(out, "No decision changes, of {compared}.");
    }
    // Many changes begin or end in the same.
    let mut sides = HashMap::new();
    for group in by_rules(difference) {
        let Some(first) = group.first() else {
            continue;
        };
        for (side, end) in [(&first.before, "  ⇒  "), (&first.after, "\n")] {
            let text = sides.entry(Arc::as_ptr(side));
            let text = text.or_insert_with(|| side.to_string());
            out.write_all(text.as_bytes())?;
            out.write_all(end.as_bytes())?;
        }
        tell_rule(out, "was", old, first.old_rule)?;
        tell_rule(out, "now", new, first.new_rule)?;
        out.write_all(choices(&first.before, &first.after).as_bytes())?;
        for change in group.iter().take(GROUPS_MAX) {
            let kinds = change.kinds().map(|kind| KindText::new(kind).told());
            let (sources, targets) = (listed(change.sources()), listed(change.targets()));
            for part in [
                "    ",
                &listed(kinds),
                ": ",
                &sources,
                " → ",
                &targets,
                "\n",
            ] {
                out.write_all(part.as_bytes())?;
            }
        }
        if let Some(rest) = group.get(GROUPS_MAX..).filter(|rest| !rest.is_empty()) {
            let calls: usize = rest.iter().map(|change| change.calls()).sum();
            writeln!(out, "    and {calls} further calls")?;
        }
        out.write_all(b"\n")?;
    }
    let changed = difference.changed();
    writeln!(out, "Decisions that change: {changed}, of {compared}.")
}

fn tell_rule(
    out: &mut impl Write,
    when: &str,
    policy: &Policy,
    rule: Option<&Rule>,
) -> std::io::Result<()> {
    match rule.map(|rule| rule_text(policy, rule)) {
        Some(RuleText { text, file, line }) => {
            writeln!(out, "  {when} {text}   {file}:{line}")
        }
        None => writeln!(out, "  {when} no rule"),
    }
}

/// Which choices come and go where a question stays one: of long lists only the first are told.
fn choices(before: &Decided, after: &Decided) -> String {
    if (before.verdict, after.verdict) != ("ask", "ask") {
        return String::new();
    }
    // Both lists are sorted.
    let less = |these: &Decided, those: &Decided| {
        let mut those = those.targets.iter().peekable();
        let mut left = Vec::new();
        for target in &these.targets {
            while those.next_if(|other| *other < target).is_some() {}
            if those.peek() != Some(&target) {
                left.push(target.to_string());
            }
        }
        left
    };
    let told = |what: &str, names: Vec<String>| match names.is_empty() {
        true => String::new(),
        false => format!("  {what} {}\n", listed(&names)),
    };
    told("offered now:", less(after, before)) + &told("no longer offered:", less(before, after))
}
