// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy trace`: decisions as they are made.

use std::collections::HashSet;
use std::io::BufRead as _;
use std::time::SystemTime;

use clap::Args;
use policy_ledger::{Entry, Event, Query};
use policyd::control::Request;
use serde::Deserialize;

use super::{control, record};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::print_on;
use crate::policy::arguments::Format;

#[derive(Debug, Args)]
#[command(after_long_help = TRACE_HELP)]
pub struct Trace {
    /// Show only records for which all these terms hold: source=work, verdict=deny …
    #[arg(value_name = "TERM")]
    terms: Vec<String>,
    /// End after so many records
    #[arg(long, value_name = "NUMBER")]
    count: Option<u64>,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const TRACE_HELP: &str = "\
The terms are those of `bulkhead policy audit --help`. Of a call that is shown the end is shown as well,
unless a term is about the event.";

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Record(Box<Entry>),
    Missed { missed: u64 },
}

pub fn trace(client: &Client, asked: &Trace, json: bool) -> Result<u8, Failure> {
    let query = Query::parse(asked.terms.iter().map(String::as_str), SystemTime::now());
    let query = query.map_err(|error| {
        Failure::new(error.to_string())
            .hint("`bulkhead policy audit --help` lists the terms")
            .usage()
    })?;
    let json = json || asked.format == Format::Json;
    let mut lines = control::open(client, &Request::Trace)?;
    control::answer(&mut lines)?;
    // Calls that were shown, and have not ended.
    let mut open = HashSet::new();
    let with_ends = !asked.terms.iter().any(|term| term.starts_with("event="));
    let mut shown = 0;
    let mut line = String::new();
    while asked.count.is_none_or(|count| shown < count) {
        line.clear();
        match lines.read_line(&mut line) {
            Ok(1..) => {}
            _ => {
                return Err(Failure::new("the policy daemon has gone")
                    .hint("calls are refused until it is back: `bulkhead status`"));
            }
        }
        match serde_json::from_str(&line) {
            Ok(Line::Record(entry)) if query.matches(&entry) || ends_one_of(&mut open, &entry) => {
                if with_ends
                    && let Event::Decision(decision) = &entry.event
                    && decision.verdict == "allow"
                {
                    open.insert(entry.sequence);
                }
                shown += 1;
                let read = match json {
                    true => print_on(&line)?,
                    false => print_on(&format!("{}\n", record::told(&entry)))?,
                };
                if !read {
                    return Ok(0);
                }
            }
            Ok(Line::Missed { missed }) => eprintln!("warning: {missed} records went by unseen"),
            Ok(Line::Record(_)) => {}
            Err(error) => return Err(control::senseless().because(&error)),
        }
    }
    Ok(0)
}

/// Whether a record is the end of one of these calls, which is none of them any more.
fn ends_one_of(calls: &mut HashSet<u64>, entry: &Entry) -> bool {
    match &entry.event {
        Event::Close(close) => calls.remove(&close.call),
        _ => false,
    }
}
