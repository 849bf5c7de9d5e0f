// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy audit`: what the ledger holds, and whether it is what was written.
//!
//! Reads the files of a ledger and nothing else, so that it works on a copy as well.

mod export;
mod verify;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand};
use policy_ledger::{Entry, Query, Snapshot, entries, snapshot};

use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};
use crate::policy::arguments::Format;
use crate::policy::live::record::told;

/// Read, verify and export the ledger.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_long_help = QUERY_HELP)]
pub struct Audit {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    #[command(flatten)]
    query: QueryArgs,
    /// Show the last so many records that fit; 0 shows all
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    last: usize,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Find each record that was altered, removed, put elsewhere or cut off
    Verify(verify::Verify),
    /// Write records to a file, or copy the whole ledger with its seals
    Export(export::Export),
}

#[derive(Debug, Args)]
struct LedgerFrom {
    /// The directory of a ledger instead of the system's
    #[arg(long, value_name = "DIR")]
    ledger: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct QueryArgs {
    /// What to look for: terms KEY=VALUE that all have to hold
    #[arg(value_name = "TERM")]
    terms: Vec<String>,
    #[command(flatten)]
    from: LedgerFrom,
}

const QUERY_HELP: &str = "\
Terms:
  source=work            who called
  target=vault           where the call went, or was meant to go
  service=qubes.Gpg      with or without +ARGUMENT
  verdict=deny           allow or deny
  rule=*30-user*         the deciding rule, as FILE:LINE
  reason=*quota*         why it was refused, or how it ended
  call=12                the decision with this number, and the end of the call
  grant=3  generation=7  what it rested on; for a grant also who gave it, and its end
  event=decision         or close, act, seal, start, stop, private, flood, pruned
  by=root  what=grant    acts of administration
  since=2h  until=2026-11-26T04:30
                         an age, or a date with or without a time, in UTC
A value may begin and end with * for anything.";

pub fn audit(client: &Client, asked: &Audit, json: bool) -> Result<u8, Failure> {
    match &asked.command {
        Some(AuditCommand::Verify(asked)) => verify::verify(client, asked, json),
        Some(AuditCommand::Export(asked)) => export::export(client, asked),
        None => show(client, asked, json || asked.format == Format::Json),
    }
}

fn show(client: &Client, asked: &Audit, json: bool) -> Result<u8, Failure> {
    let query = query(&asked.query)?;
    let mut wanted = VecDeque::new();
    let mut count = 0_usize;
    read(client, &asked.query.from, |entry| {
        if query.matches(&entry) {
            count += 1;
            wanted.push_back(entry);
            if asked.last > 0 && wanted.len() > asked.last {
                wanted.pop_front();
            }
        }
        true
    })?;
    if json {
        print_json(&wanted)?;
        return Ok(0);
    }
    let mut text = String::new();
    if count > wanted.len() {
        let left = count - wanted.len();
        let _ = writeln!(text, "({left} earlier records; `--last 0` shows all)");
    }
    for entry in &wanted {
        let _ = writeln!(text, "{}", told(entry));
    }
    if count == 0 {
        text.push_str("No record fits.\n");
    }
    print(&text)?;
    Ok(0)
}

fn query(asked: &QueryArgs) -> Result<Query, Failure> {
    let terms = asked.terms.iter().map(String::as_str);
    Query::parse(terms, SystemTime::now()).map_err(|error| {
        Failure::new(error.to_string())
            .hint("`bulkhead policy audit --help` lists the terms")
            .usage()
    })
}

fn directory(client: &Client, from: &LedgerFrom) -> PathBuf {
    let own = || client.layout().ledger();
    from.ledger.clone().unwrap_or_else(own)
}

fn open(directory: &Path) -> Result<Snapshot, Failure> {
    let failed = |error: &io::Error| {
        let failure = unreadable(directory, error);
        match error.kind() {
            io::ErrorKind::NotFound => failure.hint("policyd begins it with its first start"),
            io::ErrorKind::PermissionDenied => failure.hint("run this as root"),
            _ => failure,
        }
    };
    let found = snapshot(directory).map_err(|error| failed(&error))?;
    if found.segments.is_empty() && found.head.is_none() && found.key.is_none() {
        let nothing = format!("there is no ledger in {}", directory.display());
        return Err(Failure::new(nothing).hint("policyd begins it with its first start"));
    }
    Ok(found)
}

fn read(
    client: &Client,
    from: &LedgerFrom,
    each: impl FnMut(Entry) -> bool,
) -> Result<(), Failure> {
    let directory = directory(client, from);
    let snapshot = open(&directory)?;
    entries(&snapshot, each).map_err(|error| unreadable(&directory, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot read the ledger {}", path.display())).because(error)
}
