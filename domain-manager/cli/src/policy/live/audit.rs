// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy audit`: what the ledger holds, and whether it is what was written.
//!
//! Reads the files of a ledger and nothing else, so that it works on a copy as well.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Args, Subcommand, ValueEnum};
use policy_ledger::{
    Entry, Expected, Hash, Head, Query, Snapshot, entries, public_key_from_hex, snapshot, verify,
};

use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};
use crate::policy::arguments::Format;
use crate::policy::live::record::{CSV_HEAD, csv, told};

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
    Verify(VerifyArgs),
    /// Write records to a file, or copy the whole ledger with its seals
    Export(ExportArgs),
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
  grant=3  generation=7  what it rested on
  event=decision         or close, act, seal, start, stop, private, flood, pruned
  by=root  what=grant    acts of administration
  since=2h  until=2026-11-26T04:30
                         an age, or a date with or without a time, in UTC
A value may begin and end with * for anything.";

#[derive(Debug, Args)]
#[command(after_long_help = VERIFY_HELP)]
struct VerifyArgs {
    #[command(flatten)]
    from: LedgerFrom,
    /// The public key of the seals, instead of the ledger's own file seal.pub: 64 digits, or a
    /// file that holds them
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A record that has to be there, as noted from an earlier answer
    #[arg(long, value_name = "NUMBER:CHAIN", value_parser = noted)]
    expect: Option<Head>,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const VERIFY_HELP: &str = "\
Whoever can read the private key (root in dom0) can write another ledger that is whole in itself,
or put an older one back. Note the last number and chain value somewhere else from time to time,
and hand them back with --expect; note the public key too, and hand it back with --key.

The exit code is 0 when the ledger is as it was written, and 1 when it is not.";

#[derive(Debug, Args)]
#[command(after_long_help = QUERY_HELP)]
struct ExportArgs {
    #[command(flatten)]
    query: QueryArgs,
    /// The form of the records
    #[arg(long, value_enum, default_value_t)]
    format: ExportFormat,
    /// The file to write; without it, standard output
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    output: Option<PathBuf>,
    /// Copy the whole ledger, with what `audit verify --ledger` needs, into this new directory
    #[arg(long, value_name = "DIR", conflicts_with = "terms")]
    to: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// A JSON object per line
    #[default]
    Jsonl,
    /// A table with commas
    Csv,
}

fn noted(text: &str) -> Result<Head, String> {
    let parsed = text.split_once(':').and_then(|(number, chain)| {
        Some(Head {
            sequence: number.parse().ok()?,
            chain: Hash::from_hex(chain.as_bytes())?,
        })
    });
    parsed.ok_or_else(|| "write it as NUMBER:CHAIN, as `audit verify` shows it".to_owned())
}

pub fn audit(client: &Client, asked: &Audit, json: bool) -> Result<u8, Failure> {
    match &asked.command {
        Some(AuditCommand::Verify(asked)) => verify_ledger(client, asked, json),
        Some(AuditCommand::Export(asked)) => export(client, asked),
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

fn verify_ledger(client: &Client, asked: &VerifyArgs, json: bool) -> Result<u8, Failure> {
    let directory = directory(client, &asked.from);
    let snapshot = open(&directory)?;
    let expected = Expected {
        head: snapshot.head,
        key: match &asked.key {
            Some(key) => Some(key_of(key)?),
            None => snapshot.key,
        },
        noted: asked.expect,
        live: snapshot.live,
    };
    let segments = snapshot.segments.into_iter().map(|(name, mut file)| {
        let mut bytes = Vec::new();
        match file.read_to_end(&mut bytes) {
            Ok(_) => Ok((name, bytes)),
            Err(error) => Err(unreadable(&directory.join(name), &error)),
        }
    });
    let verified = verify(segments, &expected)?;
    if json || asked.format == Format::Json {
        print_json(&verified)?;
        return Ok(u8::from(!verified.intact));
    }
    let mut text = String::new();
    for finding in &verified.findings {
        let _ = writeln!(text, "{finding}");
    }
    let last = verified.last.unwrap_or_default();
    let first = verified.first.unwrap_or_default();
    let sealed = match verified.sealed_through {
        Some(through) if through == last => "sealed to the end".to_owned(),
        Some(through) => format!("sealed through {through}"),
        None => "without a seal".to_owned(),
    };
    let _ = match verified.intact {
        true => writeln!(
            text,
            "The ledger is as it was written: records {first} to {last}, {sealed}."
        ),
        false => writeln!(
            text,
            "The ledger is not as it was written; findings: {}; records: {}, {sealed}.",
            verified.findings.len(),
            verified.records,
        ),
    };
    let _ = writeln!(
        text,
        "To hold it against later: --expect {last}:{}",
        verified.chain
    );
    print(&text)?;
    Ok(u8::from(!verified.intact))
}

fn export(client: &Client, asked: &ExportArgs) -> Result<u8, Failure> {
    if let Some(to) = &asked.to {
        return copy(&directory(client, &asked.query.from), to);
    }
    let query = query(&asked.query)?;
    let mut output: Box<dyn Write> = match &asked.output {
        Some(path) => {
            let file = File::options().write(true).create_new(true).open(path);
            Box::new(file.map_err(|error| cannot_write(path, &error))?)
        }
        None => Box::new(io::stdout().lock()),
    };
    let place = asked
        .output
        .clone()
        .unwrap_or_else(|| "standard output".into());
    let mut output = BufWriter::with_capacity(1 << 16, &mut output);
    let mut outcome = Ok(());
    if asked.format == ExportFormat::Csv {
        outcome = output.write_all(CSV_HEAD.as_bytes());
    }
    read(client, &asked.query.from, |entry| {
        if outcome.is_ok() && query.matches(&entry) {
            outcome = match asked.format {
                ExportFormat::Jsonl => serde_json::to_writer(&mut output, &entry)
                    .map_err(Into::into)
                    .and_then(|()| output.write_all(b"\n")),
                ExportFormat::Csv => output.write_all(csv(&entry).as_bytes()),
            };
        }
        outcome.is_ok()
    })?;
    match outcome.and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(cannot_write(&place, &error))
        }
        _ => Ok(0),
    }
}

/// A copy that can be verified elsewhere: the segments, where they end, and the public key.
fn copy(from: &Path, to: &Path) -> Result<u8, Failure> {
    let snapshot = open(from)?;
    fs::create_dir(to).map_err(|error| cannot_write(to, &error))?;
    let put = |name: &str, mut content: &mut dyn io::Read| {
        let path = to.join(name);
        let copied = File::create_new(&path).and_then(|mut file| io::copy(&mut content, &mut file));
        copied.map_err(|error| cannot_write(&path, &error))
    };
    // What is written meanwhile is left out: the copy ends with the head that was read first.
    let last = snapshot.head.as_deref().and_then(Head::decode);
    for (name, mut file) in snapshot.segments {
        let mut bytes = Vec::new();
        let read = file.read_to_end(&mut bytes);
        read.map_err(|error| unreadable(&from.join(&name), &error))?;
        if name == policy_ledger::CURRENT && snapshot.live {
            bytes.truncate(through(&bytes, last));
        }
        put(&name, &mut bytes.as_slice())?;
    }
    if let Some(head) = snapshot.head {
        put("head", &mut head.as_slice())?;
    }
    if let Some(key) = snapshot.key {
        put("seal.pub", &mut key.as_bytes())?;
    }
    let shown = to.display();
    print(&format!(
        "The ledger is in {shown}; `bulkhead policy audit verify --ledger {shown}` verifies it.\n"
    ))?;
    Ok(0)
}

/// How many bytes of a segment hold the records up to the last one.
fn through(bytes: &[u8], last: Option<Head>) -> usize {
    let Some(last) = last else { return bytes.len() };
    let mut end = 0;
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        match serde_json::from_slice::<Entry>(line) {
            Ok(entry) if entry.sequence > last.sequence => break,
            _ => end += line.len(),
        }
    }
    end
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
    snapshot(directory).map_err(|error| failed(&error))
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

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write {}", path.display())).because(error)
}

fn key_of(text: &str) -> Result<String, Failure> {
    if public_key_from_hex(text).is_some() {
        return Ok(text.to_owned());
    }
    let read = fs::read_to_string(text)
        .map_err(|error| Failure::new(format!("cannot read the key {text}")).because(&error))?;
    match public_key_from_hex(&read) {
        Some(_) => Ok(read),
        None => Err(Failure::new(format!(
            "{text} holds no public key of 64 digits"
        ))),
    }
}
