// SPDX-License-Identifier: GPL-3.0-or-later
//! The process in dom0 that shows one domain's windows.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bulkhead_types::{DomId, DomainName, Label};
use bulkhead_vchan::Endpoints;
use clap::Parser;
use gui_daemon::{Ending, SESSION_NAME, ToLauncher, X11};
use nix::unistd::Pid;
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
    /// For the daemon itself: this is the session of the process with this number, which it
    /// reaches through standard input.
    #[arg(long, hide = true, value_name = "PID")]
    session: Option<i32>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // A log that takes no more is no reason to end.
        .log_internal_errors(false)
        .init();
    let done = match arguments.session {
        None => launch(&arguments).map(|never| match never {}),
        Some(parent) => serve(&arguments, Pid::from_raw(parent)),
    };
    match done {
        Ok(ending) => ExitCode::from(ending as u8),
        Err(error) => {
            eprintln!("error: cannot show the windows of `{}`", arguments.name);
            error
                .chain()
                .for_each(|cause| eprintln!("caused by: {cause}"));
            ExitCode::from(Ending::Hopeless as u8)
        }
    }
}

/// Starts sessions, one after the other.
fn launch(arguments: &Arguments) -> anyhow::Result<std::convert::Infallible> {
    let endpoints = Endpoints::from_environment()?;
    let ready = || {
        if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
            warn!(%error, "cannot tell the manager that the agent is connected");
        }
    };
    let own: Vec<String> = std::env::args().skip(1).collect();
    Ok(gui_daemon::launch(
        &endpoints,
        arguments.domid,
        &own,
        ready,
    )?)
}

/// Is a session.
fn serve(arguments: &Arguments, parent: Pid) -> anyhow::Result<Ending> {
    bulkhead_confinement::begin(SESSION_NAME, parent)?;
    let launcher = ToLauncher::on_standard_input()?;
    let endpoints = Endpoints::from_environment()?;
    let display = arguments.display.as_deref();
    let mut display = X11::connect(display, arguments.name.clone(), arguments.label)?;
    let (domid, display) = (arguments.domid, &mut display);
    Ok(gui_daemon::serve(
        &endpoints, domid, launcher, parent, display,
    )?)
}
