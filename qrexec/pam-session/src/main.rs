// SPDX-License-Identifier: GPL-3.0-or-later
//! The command `qrexec-pam-session LIMIT USER PROGRAM ARGUMENTS…`: runs a service of a guest in a PAM session.
//!
//! The agent starts it as root where `/etc/pam.d/qrexec` is there, one for each service. It asks PAM
//! whether the user may have the service and what belongs to it, starts the service as that user, and
//! closes the session when the service has ended. It is a program of its own because libpam and its
//! modules need glibc, while the agent is linked with musl.
//!
//! Trusts the agent, and the guest's root, who writes what PAM does. Distrusts the service: that may
//! end, stop or signal whatever it is allowed to.
//!
//! Invariants:
//!
//! - Where PAM refuses, nothing is started. The reason goes to the agent's log, not to the caller.
//! - No PAM module sees the service's streams: they come over a socket and go to the service alone. Nor
//!   does this process keep them, so that a stream ends when the service ends it.
//! - What a session has opened it closes, also when this process is asked to end: then the service is
//!   asked, and waited for.
#![forbid(unsafe_code)]

mod service;
mod session;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use nix::unistd::{User, initgroups};
use pam_client2::{Context, Flag};
use qrexec_protocol::exit;
use qrexec_protocol::sanitize::for_log;
use qrexec_relay::{KeeperLine, Limit, Streams, say, service_command};
use thiserror::Error;

use session::{Nobody, Refused};

/// Why a service does not run.
#[derive(Debug, Error)]
enum Failure {
    #[error("there is no such user")]
    NoSuchUser,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("{0}: {1}")]
    System(&'static str, #[source] io::Error),
    #[error("it cannot be started: {0}")]
    NotStarted(#[source] io::Error),
}

impl Failure {
    fn code(&self) -> i32 {
        match self {
            Self::NotStarted(error) if error.kind() == io::ErrorKind::NotFound => exit::NOT_FOUND,
            _ => exit::PROBLEM,
        }
    }
}

fn main() -> ExitCode {
    // Where the agent's log goes.
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        // A log that takes no more is no reason to end.
        .log_internal_errors(false)
        .init();
    let words: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [limit, user, program, ..] = &words[..] else {
        say("error: this is started by qrexec-agent: LIMIT USER PROGRAM ARGUMENTS…");
        return ExitCode::from(2);
    };
    let user = user.to_string_lossy();
    let code = run(limit, &user, &words[2..]).unwrap_or_else(|failure| {
        let program = for_log(program.as_bytes(), 200);
        let shown = for_log(user.as_bytes(), 100);
        let reason = for_log(failure.to_string().as_bytes(), 300);
        tracing::warn!("{program} was not run as {shown}: {reason}");
        failure.code()
    });
    ExitCode::from(u8::try_from(code).unwrap_or(125))
}

/// Runs what the words say in a session of the user; its exit code.
fn run(limit: &OsStr, name: &str, words: &[OsString]) -> Result<i32, Failure> {
    let system = |what| move |error| Failure::System(what, error);
    // Before PAM, which may have another one for this user.
    let limited = Limit::named(limit).and_then(Limit::take);
    limited.map_err(system("its limit of descriptors"))?;
    let mut line = KeeperLine::on_standard_input().map_err(system("no agent is there"))?;
    let streams = line.take_streams();
    let streams = streams.map_err(system("the agent gave no streams"))?;
    let user = User::from_name(name).map_err(|error| Failure::System("users", error.into()))?;
    let user = user.ok_or(Failure::NoSuchUser)?;

    let mut context = Context::new(session::SERVICE, Some(name), Nobody)
        .map_err(|error| Refused::new("its start", &error))?;
    session::admit(&mut context)?;
    // Modules add groups to these.
    let groups = std::ffi::CString::new(name).map_err(|_| Failure::NoSuchUser)?;
    initgroups(&groups, user.gid).map_err(|error| Failure::System("groups", error.into()))?;
    let session = context.open_session(Flag::NONE);
    let session = session.map_err(|error| Refused::new("the session", &error))?;

    let Streams {
        input,
        output,
        errors,
    } = streams;
    let mut command = service_command(&user, words);
    for (name, value) in session.envlist().iter_tuples() {
        // What a service is told of its call is the agent's word alone.
        if !name.as_bytes().starts_with(b"QREXEC") {
            command.env(name, value);
        }
    }
    command.stdin(input).stdout(output).stderr(errors);
    let service = service::start(&user, &mut command).map_err(Failure::NotStarted)?;
    // The agent looks at the service where its streams tell too little, which they do only once they
    // are closed here.
    let told = line.tell(service.id());
    drop(command);
    if let Err(error) = told {
        tracing::info!("the agent has gone: {error}");
    }
    let code = service.outlive().map_err(system("waiting"))?;
    if let Err(error) = session.close(Flag::NONE) {
        let shown = for_log(name.as_bytes(), 100);
        tracing::warn!("the session of {shown} was not closed: {error}");
    }
    Ok(code)
}
