// SPDX-License-Identifier: GPL-3.0-or-later
//! The command `qrexec-agent`.
#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use bulkhead_vchan::Endpoints;
use clap::Parser;
use qrexec_agent::{Agent, Options};
use qrexec_protocol::version::Version;
use qrexec_relay::{
    Host, SWITCH_WORD, allow_many_descriptors, become_user, complain, hear_of_one_socket,
};

/// Starts services in this domain when policy allows another domain to call them.
#[derive(Debug, Parser)]
#[command(name = "qrexec-agent")]
struct Arguments {
    /// The socket on which local programs ask for calls.
    #[arg(short = 'a', long, default_value = "/var/run/qubes/qrexec-agent")]
    agent_socket: PathBuf,
    /// The sockets of the fork servers in users' sessions; %s stands for the user. Empty: none.
    #[arg(
        short = 's',
        long,
        value_name = "SOCKET",
        default_value = "/var/run/qubes/qrexec-server.%s.sock"
    )]
    fork_server_socket: String,
    /// Start every service from here, and none in a user's session.
    #[arg(short = 'S', long)]
    no_fork_server: bool,
    /// The newest version of qrexec to speak with other domains: 2, 3 or 4. A dom0 of Qubes OS 4.0
    /// knows only 2, and wants to hear nothing else.
    #[arg(long, value_name = "VERSION", default_value = "4", value_parser = version)]
    protocol_version: Version,
}

fn version(text: &str) -> Result<Version, &'static str> {
    Version::named(text).ok_or("the versions are 2, 3 and 4")
}

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let [_, word, limit, user, rest @ ..] = &words[..]
        && word == SWITCH_WORD
    {
        let user = user.to_string_lossy();
        return ExitCode::from(u8::try_from(become_user(limit, &user, rest)).unwrap_or(125));
    }
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        // A log that takes no more is no reason to end.
        .log_internal_errors(false)
        .init();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    hear_of_one_socket().context("cannot hear a signal")?;
    allow_many_descriptors().context("cannot raise the limit of descriptors")?;
    let endpoints = Endpoints::from_environment().context("cannot reach other domains")?;
    let host = Host::guest().context("cannot find out who runs the agent")?;
    let options = Options {
        socket: arguments.agent_socket,
        fork_servers: if arguments.no_fork_server {
            String::new()
        } else {
            arguments.fork_server_socket
        },
        newest: arguments.protocol_version,
    };
    let mut agent = Agent::new(endpoints, host, &options)?;
    agent.run(|_| {
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    })?;
    Ok(())
}
