// SPDX-License-Identifier: GPL-3.0-or-later
//! Shows the questions that policies put to the user, one window for one session.
#![forbid(unsafe_code)]

mod again;
mod program;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bulkhead_prompt::PATIENCE;
use bulkhead_types::Layout;
use clap::Parser;

use program::descriptions;

/// Asks the user whether a call is allowed, for the policy daemon.
#[derive(Debug, Parser)]
#[command(name = "bulkhead-prompt", version)]
struct Arguments {
    /// Where the policy daemon asks; without it, below /run/bulkhead.
    #[arg(long)]
    socket: Option<PathBuf>,
    /// After how many seconds a question is refused that nobody answers.
    #[arg(long, default_value_t = PATIENCE.as_secs(), value_parser = clap::value_parser!(u64).range(1..=PATIENCE.as_secs()))]
    patience: u64,
    /// Start it again whenever it crashes, for sessions in which nothing else does.
    #[arg(long)]
    again: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // A log that takes no more is no reason to end.
        .log_internal_errors(false)
        .init();
    if arguments.again {
        return again::run();
    }
    let root = std::env::var_os(Layout::ROOT_VARIABLE).unwrap_or_else(|| "/".into());
    let layout = Layout::below(root);
    let socket = arguments.socket.unwrap_or(layout.policy_agent_socket());
    let policy = layout.policy_calls_socket();
    let services = descriptions::read(&layout.configuration().join("services.d"));
    let patience = Duration::from_secs(arguments.patience);
    match program::run(&socket, policy, services, patience) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: nobody can be asked by this program");
            error
                .chain()
                .for_each(|cause| eprintln!("caused by: {cause}"));
            ExitCode::FAILURE
        }
    }
}
