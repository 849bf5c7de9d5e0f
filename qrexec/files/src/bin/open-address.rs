// SPDX-License-Identifier: GPL-3.0-or-later
//! The service `qubes.OpenURL`: shows a page and ends with the browser.
#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bulkhead_files::call::exit_code;
use bulkhead_files::open::{Address, wait_for_display};
use bulkhead_files::report::failure;

/// How long the session of a domain that has just started may take.
const SESSION: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => failure(error.as_ref()),
    }
}

fn run() -> anyhow::Result<u8> {
    let address = Address::read(io::stdin().lock()).context("the caller sent no address")?;
    wait_for_display(SESSION)?;
    Ok(exit_code(address.show()?))
}
