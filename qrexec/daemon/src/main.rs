// SPDX-License-Identifier: GPL-3.0-or-later
//! The command `qrexec-daemon`.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bulkhead_types::{DomId, DomainName, DomainUuid, Layout};
use bulkhead_vchan::Endpoints;
use clap::Parser;
use nix::unistd::Pid;
use qrexec_daemon::log::Log;
use qrexec_daemon::{DaemonError, Domain, Options, detach, read_guest, run};
use qrexec_relay::{allow_many_descriptors, complain, say};

/// Passes calls between dom0's programs, other domains and one domain's qrexec agent.
#[derive(Debug, Parser)]
#[command(name = "qrexec-daemon")]
struct Arguments {
    /// Say less.
    #[arg(short, long)]
    quiet: bool,
    /// The folder for the daemon's socket.
    #[arg(long, value_name = "FOLDER")]
    socket_dir: Option<PathBuf>,
    /// A program to ask when the policy daemon does not answer. Without one, no answer is a refusal.
    #[arg(short, long, value_name = "PROGRAM")]
    policy_program: Option<PathBuf>,
    /// Stay in the foreground.
    #[arg(short = 'D', long)]
    direct: bool,
    /// The domain's UUID.
    #[arg(short, long)]
    uuid: DomainUuid,
    /// For the daemon itself: this process reads the guest for the one with this number, which it
    /// reaches through standard input.
    #[arg(long, hide = true, value_name = "PID")]
    session: Option<i32>,
    /// The domain's number in Xen.
    id: DomId,
    /// The domain's name.
    name: DomainName,
    /// Who runs a service when nobody else is named.
    #[arg(default_value = "user")]
    default_user: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !arguments.direct && arguments.session.is_none() {
        let log = layout()
            .logs()
            .join(format!("{}-qrexec.log", arguments.name));
        return detach::run(&log).unwrap_or_else(|error| {
            say(format!(
                "error: cannot start the daemon\ncaused by: {error}"
            ));
            ExitCode::FAILURE
        });
    }
    let level = if arguments.quiet {
        tracing::Level::WARN
    } else {
        tracing::Level::INFO
    };
    let log = tracing_subscriber::fmt()
        .with_writer(Log::new())
        .with_ansi(false)
        // A log that takes no more is no reason to end.
        .log_internal_errors(false);
    log.with_max_level(level).init();
    match serve(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error.as_ref());
            match error.downcast_ref() {
                Some(DaemonError::NoAgent(_)) => ExitCode::from(3),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn layout() -> Layout {
    Layout::below(std::env::var_os(Layout::ROOT_VARIABLE).unwrap_or_else(|| "/".into()))
}

/// Who waits longer than a year waits for ever.
const YEAR: u64 = 31_536_000;

/// How long the agent may take: 60 seconds, or what the environment says.
fn start_up() -> anyhow::Result<Option<Duration>> {
    if std::env::var_os("QREXEC_STARTUP_NOWAIT").is_some() {
        return Ok(None);
    }
    let seconds = match std::env::var("QREXEC_STARTUP_TIMEOUT") {
        Ok(text) => text
            .parse::<u64>()
            .context("QREXEC_STARTUP_TIMEOUT is not a number of seconds")?,
        Err(_) => 60,
    };
    Ok((seconds <= YEAR).then(|| Duration::from_secs(seconds)))
}

fn serve(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments {
        socket_dir,
        policy_program,
        uuid,
        id,
        name,
        default_user,
        session,
        ..
    } = arguments;
    let legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    ensure!(
        !default_user.is_empty() && default_user.chars().all(legal),
        "`{default_user}` cannot be a user"
    );
    let endpoints = Endpoints::from_environment().context("cannot reach other domains")?;
    let domain = Domain {
        id,
        name,
        uuid,
        default_user,
    };
    if let Some(parent) = session {
        return Ok(read_guest(&domain, &endpoints, Pid::from_raw(parent))?);
    }
    let layout = layout();
    let socket_dir = socket_dir.unwrap_or_else(|| layout.qrexec_dir());
    let options = Options {
        socket_dir,
        policy_program,
        layout,
        start_up: start_up()?,
    };
    allow_many_descriptors().context("cannot raise the limit of descriptors")?;
    let own: Vec<String> = std::env::args().skip(1).collect();
    run(domain, options, endpoints, &own, |_| {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    })?;
    Ok(())
}
