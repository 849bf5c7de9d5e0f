// SPDX-License-Identifier: GPL-3.0-or-later
//! `bulkheadd`: opens everything, repairs, serves until told to end.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use bulkhead_types::{DomainUuid, Layout};
use bulkheadd::daemon;
use bulkheadd::host::{Machine, MachineError};
use bulkheadd::settings::Settings;
use bulkheadd::step::Step;
use bulkheadd::store::Store;
use bulkheadd::work::{Nature, Parts};

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        // A log that takes no more is no reason to end.
        .log_internal_errors(false)
        .init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("caused by: {cause}");
            }
            if let Some(hint) = error.downcast_ref().and_then(MachineError::hint) {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let root =
        std::env::var_os(Layout::ROOT_VARIABLE).map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let layout = Layout::below(root);
    let program = std::env::current_exe().context("cannot tell where this program lies")?;
    let settings = Settings::read(&layout, program.parent().unwrap_or(Path::new("/")))?;
    for dir in [
        layout.state(),
        layout.runtime(),
        layout.logs(),
        layout.qrexec_dir(),
        layout.templates(),
    ] {
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    let mut store = Store::open(&layout.database())?;
    let nature = Nature::real();
    let fresh = DomainUuid::parse(&(nature.random)().to_string())?;
    let identity = store
        .identity(&fresh)
        .context("cannot write to the database")?;
    let host = Machine::open(&layout, &settings, &identity)?;
    if let Some(warning) = bulkheadd::host::Host::warning(&host) {
        tracing::warn!("{warning}");
    }
    daemon::run(Parts {
        layout,
        settings,
        store,
        host,
        nature,
        die_at: Step::to_die_at(),
    })
}
