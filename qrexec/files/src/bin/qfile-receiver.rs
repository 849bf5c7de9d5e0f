// SPDX-License-Identifier: GPL-3.0-or-later
//! The service `qubes.Filecopy`: takes a copy into `~/QubesIncoming/SOURCE`.
//!
//! The argument `allow-all-names` lifts the rule for characters in names.
#![forbid(unsafe_code)]

use std::env;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use bulkhead_files::receive::{Incoming, receive};
use bulkhead_files::report::{FAILED, failure};
use bulkhead_files::wire::{Limits, NameRule, Outcome};
use bulkhead_types::DomainName;

fn main() -> ExitCode {
    match run() {
        // The sender explains the answer to its user; a complaint from here would come twice.
        Ok(outcome) => ExitCode::from(code(outcome)),
        Err(error) => failure(error.as_ref()),
    }
}

/// The number of the error, as other receivers end with it.
fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Complete => 0,
        Outcome::EndedEarly => FAILED,
        Outcome::Failed(errno) => u8::try_from(errno as i32).unwrap_or(FAILED).max(FAILED),
    }
}

/// Receives and answers.
fn run() -> anyhow::Result<Outcome> {
    let rule = match env::args().nth(1).as_deref() {
        None | Some("") => NameRule::Plain,
        Some("allow-all-names") => NameRule::All,
        Some(_) => bail!("the only argument of this service is `allow-all-names`"),
    };
    let source = env::var("QREXEC_REMOTE_DOMAIN").context("QREXEC_REMOTE_DOMAIN is not set")?;
    let source = DomainName::parse(&source).context("QREXEC_REMOTE_DOMAIN is not a domain")?;
    let folder = Incoming::open(&home()?, &source)?;
    let (answer, _) = receive(std::io::stdin().lock(), &folder, rule, Limits::default());
    let mut output = std::io::stdout().lock();
    output
        .write_all(&answer.encode())
        .and_then(|()| output.flush())
        .context("cannot answer the sender")?;
    Ok(answer.outcome)
}

fn home() -> anyhow::Result<PathBuf> {
    if let Some(home) = env::var_os("HOME") {
        return Ok(home.into());
    }
    let user = nix::unistd::User::from_uid(nix::unistd::getuid());
    let user = user.context("cannot look up the user")?;
    Ok(user.context("this user has no home")?.dir)
}
