// SPDX-License-Identifier: GPL-3.0-or-later
//! The command `qrexec-client-vm`: a guest asks for a call.
#![forbid(unsafe_code)]

use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bulkhead_types::Service;
use bulkhead_vchan::Endpoints;
use qrexec_client::agent_socket::{Answer, ask};
use qrexec_client::guest_arguments::{GuestArguments, HELP};
use qrexec_client::{NoCode, Streams, announce, meet, print_help, print_usage, relay};
use qrexec_protocol::agent_socket::Connection;
use qrexec_protocol::exit;
use qrexec_protocol::limits::{SERVICE_FIELD_MAX, TARGET_LEN};
use qrexec_protocol::sanitize::{SERVICE_SHOWN, for_log, service_for_log};
use qrexec_protocol::trigger::{RequestId, UntrustedTrigger};
use qrexec_relay::{Local, Orders, Program, Sink, Traffic, complain, hear_of_one_socket, say};

/// How long the other side may take to connect once the call has been allowed.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let arguments = match GuestArguments::parse(std::env::args_os()) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print_help(HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            print_usage(&error, "qrexec-client-vm");
            return ExitCode::from(exit::PROBLEM.to_le_bytes()[0]);
        }
    };
    let code = run(arguments).unwrap_or_else(|error| {
        complain(error.as_ref());
        exit::PROBLEM
    });
    // Only the low byte reaches whoever waits.
    ExitCode::from(code.to_le_bytes()[0])
}

fn run(arguments: GuestArguments) -> anyhow::Result<i32> {
    // The old sign of a keyword, as scripts still write it.
    let target = arguments.target.replace('$', "@");
    let service = &arguments.service;
    let known = Service::parse(service).with_context(|| {
        format!(
            "`{}` is no service",
            for_log(service.as_bytes(), SERVICE_SHOWN)
        )
    })?;
    for text in [&target, &arguments.source_qube] {
        if text.len() >= TARGET_LEN {
            bail!("`{}` is too long for a domain", text.escape_debug());
        }
    }
    hear_of_one_socket().context("cannot hear a signal")?;
    let what = format!(
        "the call of {} in {}",
        service_for_log(&known),
        if target.is_empty() {
            "@default"
        } else {
            &target
        }
    );
    let ident = RequestId::parse(b"SOCKET\0").context("the request's id cannot be one")?;
    let trigger = UntrustedTrigger::new(&arguments.source_qube, &target, &ident, service);
    let (agent, connection) = match ask(&arguments.agent_socket, &trigger)? {
        Answer::Allowed(agent, connection) => (agent, connection),
        Answer::Busy => {
            bail!("{what} was not made: too many calls are under way, or were made lately")
        }
        Answer::Refused => {
            // Scripts know these two words; a person at a terminal gets more.
            say("Request refused");
            if io::stderr().is_terminal() {
                say(match trigger.is_too_long() {
                    true => format!(
                        "error: {what} was not made: service and argument have {} bytes, and {} may be sent",
                        service.len(),
                        SERVICE_FIELD_MAX - 1
                    ),
                    false => format!(
                        "error: {what} was refused: policy forbids it, or dom0 could not make it; \
                         dom0's log says which"
                    ),
                });
            }
            return Ok(exit::REFUSED);
        }
    };
    let Connection { route, version } = connection;
    let endpoints = Endpoints::from_environment().context("cannot reach other domains")?;
    let vchan = announce(&endpoints, route.domain, route.port)?;
    let orders = Orders::Stream(agent.as_fd());
    let channel = meet(version, vchan, orders, Some(PATIENCE))
        .with_context(|| format!("{what} came to nothing"))?;
    let local = local(&arguments)?;
    let code = relay(channel, local, orders, &what, &mut Traffic::default())
        .unwrap_or_else(|NoCode(code)| code);
    if code == exit::NOT_FOUND && io::stderr().is_terminal() {
        say(format!(
            "error: {what} ended with 127: there is no such service, or it did not find a program"
        ));
    }
    Ok(code)
}

fn local(arguments: &GuestArguments) -> anyhow::Result<Local> {
    use std::os::unix::ffi::OsStrExt as _;
    let prefix = arguments.prefix_data.as_bytes().to_vec();
    let filter_errors = arguments.filter_errors;
    let Some((program, rest)) = arguments.program.split_first() else {
        let filter_output = arguments.filter_output;
        let stdin_socket = arguments.use_stdin_socket;
        let streams = Streams {
            prefix,
            stdin_socket,
            filter_output,
            filter_errors,
        };
        return streams.open().context("cannot use this process's streams");
    };
    let mut command = Command::new(program);
    command
        .args(rest)
        .env("QREXEC_AGENT_PID", std::process::id().to_string());
    // The program finds the original streams under these numbers.
    let saved = [
        io::stdin().as_fd().try_clone_to_owned()?,
        io::stdout().as_fd().try_clone_to_owned()?,
    ];
    for (number, fd) in saved.iter().enumerate() {
        pass_on(&mut command, &format!("SAVED_FD_{number}"), fd)?;
    }
    let errors = io::stderr().as_fd().try_clone_to_owned()?;
    if std::env::var_os("PASS_LOCAL_STDERR").is_some() {
        pass_on(&mut command, "SAVED_FD_2", &errors)?;
    }
    let program = Program::start(&mut command, false)
        .with_context(|| format!("cannot start {}", program.to_string_lossy()))?;
    drop(saved);
    Ok(Local {
        input: Some(program.output),
        back: Some(program.back),
        prefix,
        output: program.input,
        errors: Sink::standard_error()?.filtered(filter_errors.unwrap_or(false)),
        process: Some(program.process),
    })
}

/// Lets the program inherit a descriptor and tells it the number.
fn pass_on(command: &mut Command, name: &str, fd: &std::os::fd::OwnedFd) -> anyhow::Result<()> {
    use std::os::fd::AsRawFd as _;

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty())).context("cannot pass a stream on")?;
    command.env(name, fd.as_raw_fd().to_string());
    Ok(())
}
