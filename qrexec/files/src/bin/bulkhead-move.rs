// SPDX-License-Identifier: GPL-3.0-or-later
//! Moves files to another domain.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bulkhead_files::copy_command::{Arguments, Mode, run};
use clap::Parser;

/// Move files to another domain
#[derive(Parser)]
struct Command {
    #[command(flatten)]
    arguments: Arguments,
}

fn main() -> ExitCode {
    let arguments = Arguments::of_open_name();
    let arguments = arguments.unwrap_or_else(|| Command::parse().arguments);
    run(&arguments, Mode::Move)
}
