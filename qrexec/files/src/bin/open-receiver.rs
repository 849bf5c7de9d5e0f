// SPDX-License-Identifier: GPL-3.0-or-later
//! The service `qubes.OpenInVM`: shows a file from another domain and ends with its viewer.
#![forbid(unsafe_code)]

use std::env;
use std::io::{self, Read};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bulkhead_files::call::exit_code;
use bulkhead_files::open::{Document, FIELD_LENGTH, Request, wait_for_display};
use bulkhead_files::report::failure;
use bulkhead_types::DomainName;

/// How long the session of a domain that has just started may take.
const SESSION: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => failure(error.as_ref()),
    }
}

fn run() -> anyhow::Result<u8> {
    let source = env::var("QREXEC_REMOTE_DOMAIN").context("QREXEC_REMOTE_DOMAIN is not set")?;
    let source = DomainName::parse(&source).context("QREXEC_REMOTE_DOMAIN is not a domain")?;
    let mut input = io::stdin().lock();
    let mut field = [0; FIELD_LENGTH];
    input
        .read_exact(&mut field)
        .context("the caller sent no file")?;
    let request = Request::decode(&field)?;
    let document = Document::store(&request, &source, input)?;
    wait_for_display(SESSION)?;
    let status = document.show()?;
    // The caller takes changes from a call that ended well only; what a viewer that failed has written is
    // the person's work all the same.
    let changed = document.give_back(io::stdout().lock())?;
    Ok(if changed { 0 } else { exit_code(status) })
}
