// SPDX-License-Identifier: GPL-3.0-or-later
//! The process in a guest that shares its windows.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bulkhead_types::DomId;
use bulkhead_vchan::Endpoints;
use clap::Parser;

/// Shares the windows of this domain's X server with the domain that owns the screen.
#[derive(Debug, Parser)]
#[command(name = "bulkhead-gui-agent", version)]
struct Arguments {
    /// The X display whose windows are shared; without it, that of the environment.
    #[arg(long)]
    display: Option<String>,
    /// The domain that owns the screen.
    #[arg(long, default_value = "0")]
    gui_domain: DomId,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // A log that takes no more is no reason to end.
        .log_internal_errors(false)
        .init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot share this domain's windows");
            error
                .chain()
                .for_each(|cause| eprintln!("caused by: {cause}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let endpoints = Endpoints::from_environment()?;
    gui_agent::serve(
        &endpoints,
        arguments.gui_domain,
        arguments.display.as_deref(),
    )?;
    Ok(())
}
