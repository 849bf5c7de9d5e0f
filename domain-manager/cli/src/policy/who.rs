// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy who-can` and `bulkhead policy matrix`.

use std::collections::BTreeSet;

use bulkhead_policy::{DomainRef, Policy, ServicePattern, System, nearest};
use comfy_table::{Table, presets};
use policy_analysis::{Access, Cell, Decided, Matrix, listed, who_can};
use serde::Serialize;

use super::answer::{RuleText, rule_text};
use super::arguments::{Format, MatrixOf, WhoCan};
use super::diff::KindText;
use super::source;
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json, without_margins};

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
fn unknown_service(service: &str, policy: &Policy) -> Option<String> {
    let named = policy.rules().filter_map(|rule| match &rule.service {
        ServicePattern::Named(name) => Some(&**name),
        ServicePattern::Any => None,
    });
    let named: BTreeSet<&str> = named.collect();
    let missing = !named.contains(service);
    missing.then(|| sentence("No rule names the service", service, named))
}

/// A sentence about a target that is not there.
fn unknown_target(target: &str, system: &System) -> Option<String> {
    let domain = DomainRef::parse(target.strip_prefix("@dispvm:").unwrap_or(target)).ok()?;
    let missing = !domain.is_dom0() && system.find(&domain).is_none();
    let names = system.domains().iter().map(|domain| domain.name.as_str());
    missing.then(|| sentence("There is no domain", target, names))
}

fn sentence<'a>(what: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let likely = nearest(word, known);
    let likely = likely.map_or(String::new(), |likely| format!(" Did you mean `{likely}`?"));
    format!("{what} `{word}`.{likely}\n")
}

/// The target that was named, in either way.
fn target(asked: &WhoCan) -> Result<Option<&str>, Failure> {
    match &asked.of_target[..] {
        [] => Ok(asked.to.as_deref()),
        [to, target] if to == "to" => Ok(Some(target)),
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
fn split(service: &str) -> (&str, Option<String>) {
    match service.split_once('+') {
        Some((name, argument)) => (name, Some(format!("+{argument}"))),
        None => (service, None),
    }
}

#[derive(Serialize)]
struct MatrixText {
    sources: Vec<String>,
    targets: Vec<String>,
    /// By caller, by target.
    cells: Vec<Vec<CellText>>,
}

#[derive(Serialize)]
struct CellText {
    allow: Vec<String>,
    ask: Vec<String>,
}

pub fn matrix(client: &Client, asked: &MatrixOf, json: bool) -> Result<u8, Failure> {
    let policy = source::policy(client, &asked.policy)?;
    let system = source::system(client, &asked.system)?;
    let (service, argument) = match &asked.service {
        Some(service) => {
            let (service, argument) = split(service);
            (Some(service), argument)
        }
        None => (None, None),
    };
    let matrix = Matrix::new(&policy, &system, service, argument.as_deref());
    if json || asked.format == Format::Json {
        let names = |kinds: &[policy_analysis::Kind]| {
            kinds
                .iter()
                .map(|kind| KindText::new(kind).told())
                .collect()
        };
        let cell = |cell: &Cell| CellText {
            allow: names(&cell.allow),
            ask: names(&cell.ask),
        };
        let cells = matrix
            .cells
            .iter()
            .map(|row| row.iter().map(cell).collect());
        print_json(&MatrixText {
            cells: cells.collect(),
            sources: matrix.sources,
            targets: matrix.targets,
        })?;
    } else {
        print(&drawn(&matrix))?;
        if let Some(unknown) = service.and_then(|service| unknown_service(service, &policy)) {
            print(&format!("\n{unknown}"))?;
        }
    }
    Ok(0)
}

/// Callers above each other, targets beside each other.
fn drawn(matrix: &Matrix) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let header = std::iter::once(String::new()).chain(matrix.targets.iter().cloned());
    table.set_header(header);
    for (source, cells) in matrix.sources.iter().zip(&matrix.cells) {
        let sign = |cell: &Cell| match (cell.allow.len(), cell.ask.len()) {
            (0, 0) => "·".to_owned(),
            (allow, 0) => format!("✓{}", count(allow)),
            (0, ask) => format!("?{}", count(ask)),
            (allow, ask) => format!("✓{} ?{}", count(allow), count(ask)),
        };
        let row = std::iter::once(source.clone()).chain(cells.iter().map(sign));
        table.add_row(row);
    }
    let mut text = without_margins(&table);
    text.push_str("\n✓ allowed, ? the user is asked, · refused; with the number of services.\n");
    text
}

fn count(services: usize) -> String {
    match services {
        1 => String::new(),
        many => many.to_string(),
    }
}
