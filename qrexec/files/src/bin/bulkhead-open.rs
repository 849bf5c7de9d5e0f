// SPDX-License-Identifier: GPL-3.0-or-later
//! Opens a file or a page of the web in another domain.
//!
//! Under the names `qvm-open-in-vm` and `qvm-open-in-dvm` it takes the words that those take.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use bulkhead_files::call::Target;
use bulkhead_files::open::{
    Address, confirm, has_to_be_confirmed, open_address_elsewhere, open_elsewhere,
};
use bulkhead_files::report::failure;
use clap::Parser;

/// Open a file or a page of the web in another domain and wait until its viewer is closed
///
/// A file that was changed there replaces the one here. The exit code is the viewer's, and 0 after a change.
#[derive(Parser)]
#[command(group(clap::ArgGroup::new("where").args(["disposable", "domain"])))]
struct Command {
    /// In a new disposable that ends with the viewer (the default)
    #[arg(long)]
    disposable: bool,
    /// In this domain
    #[arg(long, value_name = "NAME")]
    domain: Option<Target>,
    /// Throw changes away
    #[arg(long)]
    view_only: bool,
    /// The file, or an address that begins with http://, https:// or ftp://
    #[arg(value_name = "FILE")]
    what: PathBuf,
}

/// Open a file or a page of the web in a domain
#[derive(Parser)]
struct InDomain {
    /// Throw changes away
    #[arg(long)]
    view_only: bool,
    /// The domain
    #[arg(value_name = "DOMAIN")]
    domain: Target,
    /// The file or the address
    #[arg(value_name = "FILE")]
    what: PathBuf,
}

/// Open a file or a page of the web in a new disposable
#[derive(Parser)]
struct InDisposable {
    /// Throw changes away
    #[arg(long)]
    view_only: bool,
    /// The file or the address
    #[arg(value_name = "FILE")]
    what: PathBuf,
}

fn main() -> ExitCode {
    let own = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&own).file_name().unwrap_or_default();
    match name.to_str() {
        Some("qvm-open-in-vm") => {
            let command = InDomain::parse();
            open(&command.what, &command.domain, command.view_only)
        }
        Some("qvm-open-in-dvm") => {
            let command = InDisposable::parse();
            open(&command.what, &Target::disposable(), command.view_only)
        }
        _ => {
            let command = Command::parse();
            let target = command.domain.unwrap_or_else(Target::disposable);
            open(&command.what, &target, command.view_only)
        }
    }
}

fn open(what: &Path, target: &Target, view_only: bool) -> ExitCode {
    let service = std::env::var("QREXEC_SERVICE_FULL_NAME").ok();
    if has_to_be_confirmed(target, service.as_deref())
        && let Err(error) = confirm()
    {
        return failure(&error);
    }
    let Some(text) = what.to_str().filter(|text| Address::looks_like(text)) else {
        return open_elsewhere(what, target, view_only);
    };
    match Address::parse(text).context("cannot open this address") {
        Ok(address) => open_address_elsewhere(&address, target),
        Err(error) => failure(error.as_ref()),
    }
}
