// SPDX-License-Identifier: GPL-3.0-or-later
//! `policyd`: decides calls and keeps the ledger. It takes no arguments; everything lies
//! below `BULKHEAD_ROOT`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Context;
use bulkhead_types::{Layout, os_words};
use nix::sys::stat::{Mode, umask};

fn main() -> ExitCode {
    if let Some(argument) = std::env::args().nth(1) {
        eprintln!("error: policyd takes no arguments, not `{argument}`");
        eprintln!("hint: set {} to run it elsewhere", Layout::ROOT_VARIABLE);
        return ExitCode::from(2);
    }
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        // A log that takes no more is no reason to end.
        .log_internal_errors(false)
        .init();
    // Nothing made here is for everybody, not even for the moment between making and chmod.
    umask(Mode::S_IRWXO);
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", os_words(&error.to_string()));
            for cause in error.chain().skip(1) {
                eprintln!("caused by: {}", os_words(&cause.to_string()));
            }
            ExitCode::FAILURE
        }
    }
}

fn serve() -> anyhow::Result<()> {
    let root = std::env::var_os(Layout::ROOT_VARIABLE).unwrap_or_else(|| "/".into());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_start(step_back)
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(policyd::run(Layout::below(root)))?;
    Ok(())
}

/// So much nicer are the threads beside the one that answers.
const NICER: i32 = 5;

/// The threads that read policies and free old ones have time; the one that answers has none, and
/// on a machine with few processors they would share one with it.
fn step_back() {
    // Of the calling thread alone. A thread that may not be nicer does its work all the same.
    let _ = rustix::process::nice(NICER);
}
