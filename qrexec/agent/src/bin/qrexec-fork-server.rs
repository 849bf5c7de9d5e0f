// SPDX-License-Identifier: GPL-3.0-or-later
//! The command `qrexec-fork-server`: started in a user's session, it starts services there.
#![forbid(unsafe_code)]

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;
use bulkhead_vchan::Endpoints;
use clap::Parser;
use nix::unistd::{Uid, User, dup2_stdin};
use qrexec_agent::ForkServer;
use qrexec_protocol::version::Version;
use qrexec_relay::{allow_many_descriptors, complain, hear_of_one_socket};

/// Starts services in this session when the qrexec agent asks; goes into the background.
#[derive(Debug, Parser)]
#[command(name = "qrexec-fork-server")]
struct Arguments {
    /// Where the agent asks [default: /var/run/qubes/qrexec-server.USER.sock]
    socket: Option<PathBuf>,
    /// The newest version of qrexec to speak with other domains, as the agent's.
    #[arg(long, value_name = "VERSION", default_value = "4", value_parser = version)]
    protocol_version: Version,
    /// The socket is standard input, and this is the process in the background.
    #[arg(long, hide = true)]
    background: bool,
}

fn version(text: &str) -> Result<Version, &'static str> {
    Version::named(text).ok_or("the versions are 2, 3 and 4")
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = if arguments.background {
        serve(arguments.protocol_version)
    } else {
        start(arguments.socket, arguments.protocol_version)
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(error.as_ref());
            ExitCode::FAILURE
        }
    }
}

fn own_user() -> anyhow::Result<String> {
    let uid = Uid::effective();
    let user = User::from_uid(uid).context("cannot look up the user")?;
    Ok(user
        .with_context(|| format!("user {uid} has no name"))?
        .name)
}

/// Listens, and leaves a process in the background that takes the calls. Calls that come before it
/// is ready wait in the socket.
fn start(socket: Option<PathBuf>, newest: Version) -> anyhow::Result<()> {
    let path = match socket {
        Some(path) => path,
        None => format!("/var/run/qubes/qrexec-server.{}.sock", own_user()?).into(),
    };
    let unusable = || format!("cannot make the socket {}", path.display());
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(unusable);
        }
        _ => {}
    }
    let listener = UnixListener::bind(&path).with_context(unusable)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600)).with_context(unusable)?;
    let own = std::env::current_exe().context("cannot find this program")?;
    Command::new(own)
        .arg("--background")
        .arg(format!("--protocol-version={newest}"))
        .stdin(OwnedFd::from(listener))
        .stdout(Stdio::null())
        .process_group(0)
        .spawn()
        .context("cannot start the process in the background")?;
    Ok(())
}

fn serve(newest: Version) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        // A log that takes no more is no reason to end.
        .log_internal_errors(false)
        .init();
    hear_of_one_socket().context("cannot hear a signal")?;
    allow_many_descriptors().context("cannot raise the limit of descriptors")?;
    let listener = io::stdin().as_fd().try_clone_to_owned();
    let listener = UnixListener::from(listener.context("there is no socket")?);
    let null = File::open("/dev/null").context("cannot open /dev/null")?;
    dup2_stdin(null).context("cannot leave standard input")?;
    let endpoints = Endpoints::from_environment().context("cannot reach other domains")?;
    let server = ForkServer::new(listener, endpoints, own_user()?, newest);
    Err(server.run()).context("cannot take calls")
}
