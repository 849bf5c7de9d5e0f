// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkhead policy audit verify`: whether the ledger is what was written.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;

use clap::Args;
use policy_ledger::{Expected, Hash, Head, public_key_from_hex, verify as verify_segments};

use super::{LedgerFrom, directory, open, unreadable};
use crate::client::Client;
use crate::failure::Failure;
use crate::list::{print, print_json};
use crate::policy::arguments::Format;

#[derive(Debug, Args)]
#[command(after_long_help = VERIFY_HELP)]
pub struct Verify {
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

fn noted(text: &str) -> Result<Head, String> {
    let parsed = text.split_once(':').and_then(|(number, chain)| {
        Some(Head {
            sequence: number.parse().ok()?,
            chain: Hash::from_hex(chain.as_bytes())?,
        })
    });
    parsed.ok_or_else(|| "write it as NUMBER:CHAIN, as `audit verify` shows it".to_owned())
}

pub fn verify(client: &Client, asked: &Verify, json: bool) -> Result<u8, Failure> {
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
    let verified = verify_segments(segments, &expected)?;
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
        true if verified.records == 0 => {
            writeln!(
                text,
                "The ledger is as it was begun: it holds no record yet."
            )
        }
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
    if verified.intact && verified.records > 0 {
        let chain = &verified.chain;
        let _ = writeln!(text, "To hold it against later: --expect {last}:{chain}");
    }
    print(&text)?;
    Ok(u8::from(!verified.intact))
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
