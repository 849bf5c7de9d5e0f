// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy audit export`: records for other programs, or a copy of the whole ledger.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use policy_ledger::{CURRENT, Entry, Head};

use super::{QUERY_HELP, QueryArgs, directory, open, query, read, unreadable};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::print;
use crate::policy::live::record::{CSV_HEAD, csv};

#[derive(Debug, Args)]
#[command(after_long_help = QUERY_HELP)]
pub struct Export {
    #[command(flatten)]
    query: QueryArgs,
    /// The form of the records
    #[arg(long, value_enum, default_value_t)]
    format: ExportFormat,
    /// The file to write; without it, standard output
    #[arg(long, short, value_name = "FILE", conflicts_with = "to")]
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

pub fn export(client: &Client, asked: &Export) -> Result<u8, Failure> {
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
        if name == CURRENT && snapshot.live {
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

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write {}", path.display())).because(error)
}
