// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead trace`: where the time of calls went, stage by stage, as the ledger has it.

use std::collections::{HashMap, VecDeque};
use std::io;

use bulkhead_types::{DomainName, escaped};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use policy_ledger::{Close, Decision, Event, Stages, entries, snapshot};
use serde::Serialize;

use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json, without_margins};

/// What to show.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub struct Trace {
    /// Only calls of this domain, or to it
    domain: Option<DomainName>,
    /// Show the last so many calls; 0 shows all
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    last: usize,
}

const HELP: &str = "\
Each time counts from the moment at which the request came to dom0:
  policy      policy had answered
  start       the domain had taken the call; if it was halted, it was started before
  connect     caller and service had met
  first byte  the service had said something
  end         the call was over
What passes between two domains without dom0 has no `connect` and no `first byte`. Calls of
dom0's own are here too; their time counts from the start of the program that makes them, and
policy is not asked.
`bulkhead policy audit call=NUMBER` shows what the ledger has of a call.";

/// A call that is over.
#[derive(Debug, Serialize)]
struct Row {
    call: u64,
    time: String,
    source: String,
    target: String,
    service: String,
    end: String,
    #[serde(flatten)]
    stages: Stages,
}

impl Row {
    fn new(time: String, decision: Decision, close: Close) -> Option<Self> {
        Some(Self {
            call: close.call,
            time,
            source: decision.source,
            target: decision.target.unwrap_or(decision.requested_target),
            service: decision.service,
            end: close.end,
            stages: close.stages?,
        })
    }
}

pub fn show(client: &Client, asked: &Trace, json: bool) -> Result<(), Failure> {
    let directory = client.layout().ledger();
    let unreadable = |error: io::Error| {
        let failure = Failure::new(format!("cannot read the ledger {}", directory.display()));
        let failure = failure.because(&error);
        match error.kind() {
            io::ErrorKind::NotFound => failure.hint("policyd begins it with its first start"),
            io::ErrorKind::PermissionDenied => failure.hint("run this as root"),
            _ => failure,
        }
    };
    let snapshot = snapshot(&directory).map_err(unreadable)?;
    let domain = asked.domain.as_ref().map(DomainName::as_str);
    let wanted = |decision: &Decision| {
        let target = decision.target.as_deref();
        domain.is_none_or(|domain| decision.source == domain || target == Some(domain))
    };
    let mut open: HashMap<u64, (String, Decision)> = HashMap::new();
    let mut rows = VecDeque::new();
    let read = entries(&snapshot, |entry| {
        match entry.event {
            Event::Decision(decision) if decision.verdict == "allow" && wanted(&decision) => {
                open.insert(entry.sequence, (entry.time, decision));
            }
            Event::Close(close) => {
                let begun = open.remove(&close.call);
                rows.extend(begun.and_then(|(time, decision)| Row::new(time, decision, close)));
                if asked.last > 0 && rows.len() > asked.last {
                    rows.pop_front();
                }
            }
            _ => {}
        }
        true
    });
    read.map_err(unreadable)?;
    if json {
        return print_json(&rows);
    }
    if rows.is_empty() {
        return print(&none(domain));
    }
    print(&table(&rows))
}

/// What is said instead of a table.
fn none(domain: Option<&str>) -> String {
    let Some(domain) = domain else {
        return "No call has ended.\n".to_owned();
    };
    format!(
        "No call of `{domain}`, or to it, has ended.\n\
         Refused ones: `bulkhead policy audit source={domain} verdict=deny`\n"
    )
}

const HEADER: [&str; 10] = [
    "CALL",
    "SOURCE",
    "TARGET",
    "SERVICE",
    "POLICY",
    "START",
    "CONNECT",
    "FIRST BYTE",
    "END",
    "HOW",
];

fn table(rows: &VecDeque<Row>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(HEADER);
    for row in rows {
        let Stages {
            policy_us,
            start_us,
            connect_us,
            first_byte_us,
            end_us,
        } = row.stages;
        table.add_row([
            row.call.to_string(),
            shown(&row.source),
            shown(&row.target),
            shown(&row.service),
            time(Some(policy_us)),
            time(start_us),
            time(connect_us),
            time(first_byte_us),
            time(Some(end_us)),
            shown(&row.end),
        ]);
    }
    for number in [0, 4, 5, 6, 7, 8] {
        if let Some(column) = table.column_mut(number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    without_margins(&table)
}

/// What a guest may have written: escaped and cut.
fn shown(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    escaped(&short)
}

fn time(microseconds: Option<u64>) -> String {
    match microseconds {
        None => "-".to_owned(),
        Some(us @ 0..1000) => format!("{us} µs"),
        Some(us @ 1000..1_000_000) => format!("{}.{} ms", us / 1000, us % 1000 / 100),
        Some(us) => format!("{}.{} s", us / 1_000_000, us % 1_000_000 / 100_000),
    }
}
