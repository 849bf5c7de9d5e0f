// SPDX-License-Identifier: GPL-3.0-or-later
//! The process in dom0 that shows one domain's windows.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bulkhead_types::{DomId, DomainName, Label};
use bulkhead_vchan::Endpoints;
use clap::Parser;
use gui_core::Limits;
use gui_daemon::X11;
use tracing::warn;

/// Shows the windows of one domain, framed in its label's colour.
#[derive(Debug, Parser)]
#[command(name = "gui-daemon", version)]
struct Arguments {
    /// The domain's number.
    #[arg(long)]
    domid: DomId,
    /// The domain's name, shown in every title.
    #[arg(long)]
    name: DomainName,
    /// The label whose colour the frames have.
    #[arg(long)]
    label: Label,
    /// The X display; without it, that of the environment.
    #[arg(long)]
    display: Option<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: cannot show the windows of `{}`", arguments.name);
            error
                .chain()
                .for_each(|cause| eprintln!("caused by: {cause}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let endpoints = Endpoints::from_environment()?;
    let display = arguments.display.as_deref();
    let mut display = X11::connect(display, arguments.name.clone(), arguments.label)?;
    let ready = || {
        if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
            warn!(%error, "cannot tell the manager that the agent is connected");
        }
    };
    gui_daemon::serve(
        &endpoints,
        arguments.domid,
        &mut display,
        Limits::default(),
        ready,
    )?;
    Ok(())
}
