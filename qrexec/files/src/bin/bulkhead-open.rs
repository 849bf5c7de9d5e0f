// SPDX-License-Identifier: GPL-3.0-or-later
//! Opens a file in another domain.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use bulkhead_files::call::Target;
use bulkhead_files::open::open_elsewhere;
use clap::Parser;

/// Open a file in another domain and wait until its viewer is closed
///
/// A file that was changed there replaces the one here. The exit code is the viewer's.
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
    /// The file
    file: PathBuf,
}

fn main() -> ExitCode {
    let command = Command::parse();
    let target = command.domain.unwrap_or_else(Target::disposable);
    open_elsewhere(&command.file, &target, command.view_only)
}
