// SPDX-License-Identifier: GPL-3.0-or-later
//! The command `qrexec-client`: dom0 makes a call.
#![forbid(unsafe_code)]

use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, bail};
use bulkhead_types::{DomId, DomainName, DomainUuid, Layout, Port};
use bulkhead_vchan::Endpoints;
use qrexec_client::dom0_arguments::{Dom0Arguments, HELP, Requester};
use qrexec_client::record::Record;
use qrexec_client::{NoCode, Streams, announce, end_of, meet, print_help, print_usage, relay};
use qrexec_protocol::exec::{Exec, Mode, Route, ServiceConnect};
use qrexec_protocol::exit;
use qrexec_protocol::own_call::OwnCall;
use qrexec_protocol::version::Version;
use qrexec_relay::{
    Channel, DaemonSocket, Host, Local, Orders, Program, Sink, Traffic, complain, dom0_shell,
    hear_of_one_socket, serve,
};

/// How long a daemon in dom0 may take to answer.
const DAEMON_PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let arguments = match Dom0Arguments::parse(std::env::args_os()) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print_help(HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            print_usage(&error, "qrexec-client");
            return ExitCode::from(exit::PROBLEM.to_le_bytes()[0]);
        }
    };
    let no_exit_code = arguments.no_exit_code;
    let failure = match (&arguments.connect, is_dom0(&arguments.domain)) {
        (Some(_), false) => exit::RELAY_FAILED,
        _ => exit::PROBLEM,
    };
    let code = match run(arguments) {
        Ok(code) if no_exit_code && code >= 0 => 0,
        Ok(code) => code,
        Err(error) => {
            complain(error.as_ref());
            failure
        }
    };
    ExitCode::from(code.to_le_bytes()[0])
}

fn is_dom0(domain: &str) -> bool {
    matches!(domain, DomainName::DOM0 | "@adminvm")
        || domain.strip_prefix("uuid:") == Some(DomainUuid::DOM0)
}

fn layout() -> Layout {
    Layout::below(std::env::var_os(Layout::ROOT_VARIABLE).unwrap_or_else(|| "/".into()))
}

fn run(arguments: Dom0Arguments) -> anyhow::Result<i32> {
    hear_of_one_socket().context("cannot hear a signal")?;
    if is_dom0(&arguments.domain) {
        // What services here complain about, and why they cannot be started.
        tracing_subscriber::fmt()
            .with_writer(io::stderr)
            .with_ansi(false)
            .with_max_level(tracing::Level::WARN)
            // A log that takes no more is no reason to end.
            .log_internal_errors(false)
            .init();
        return match &arguments.connect {
            Some(requester) => serve_in_dom0(&arguments, requester),
            None => recorded(&arguments, |record| here(&arguments, record)),
        };
    }
    match &arguments.connect {
        Some(requester) => connect_two(&arguments, requester),
        None => recorded(&arguments, |record| call_domain(&arguments, record)),
    }
}

/// Makes a call of dom0's own, of which the policy daemon is told.
fn recorded(
    arguments: &Dom0Arguments,
    make: impl FnOnce(&mut Record) -> anyhow::Result<Result<i32, NoCode>>,
) -> anyhow::Result<i32> {
    let call = OwnCall::new(&arguments.domain, arguments.command.as_bytes());
    let mut record = Record::begin(&layout().policy_calls_socket(), &call);
    let made = make(&mut record);
    record.end(match &made {
        Ok(Ok(code)) => format!("exit code {code}"),
        Ok(Err(NoCode(_))) => "cut off".to_owned(),
        Err(error) => format!("failed: {error:#}"),
    });
    Ok(made?.unwrap_or_else(|NoCode(code)| code))
}

fn daemon(arguments: &Dom0Arguments, domain: &str) -> anyhow::Result<DaemonSocket> {
    let known = match domain.strip_prefix("uuid:") {
        Some(uuid) => DomainUuid::parse(uuid).is_ok(),
        None => DomainName::parse(domain).is_ok(),
    };
    if !known {
        bail!("`{}` cannot be a domain", domain.escape_debug());
    }
    let dir = arguments
        .socket_dir
        .clone()
        .unwrap_or_else(|| layout().qrexec_dir());
    let socket = DaemonSocket::connect(&dir.join(format!("qrexec.{domain}")));
    socket.with_context(|| format!("cannot call {domain}: is it running?"))
}

/// dom0 calls dom0: the service runs on this process's own streams.
fn here(arguments: &Dom0Arguments, record: &mut Record) -> anyhow::Result<Result<i32, NoCode>> {
    let command = arguments.command.as_bytes();
    if !command.starts_with(b"DEFAULT:") {
        bail!("a call from dom0 to dom0 begins with `DEFAULT:`");
    }
    record.started();
    Ok(Ok(Host::dom0(layout().root()).run_here(command)))
}

/// A domain has asked for a service in dom0, and was allowed.
fn serve_in_dom0(arguments: &Dom0Arguments, requester: &Requester) -> anyhow::Result<i32> {
    let mut daemon = daemon(arguments, &requester.name)?;
    let route = Route {
        domain: DomId::DOM0,
        port: Port(0),
    };
    let connect = ServiceConnect {
        route,
        ident: requester.ident.clone(),
    };
    let route = daemon
        .connect_service(&connect, DAEMON_PATIENCE)?
        .context("the daemon chose no port")?;
    let endpoints = Endpoints::from_environment().context("cannot reach other domains")?;
    let patience = patience(arguments);
    let vchan = endpoints.connect(requester.id, route.port, patience);
    let vchan = vchan.with_context(|| format!("cannot connect to {}", requester.name))?;
    let mut channel = Channel::open(vchan, end_of(patience))?;
    // Requests of a domain name no user; in dom0 nobody changes it.
    let command = [b"DEFAULT:", arguments.command.as_bytes()].concat();
    let started = Host::dom0(layout().root()).start(&command, Mode::Attached);
    let (left_over, result) = serve(&mut channel, started, Orders::None);
    channel.finish();
    if let Some(mut process) = left_over {
        process.reap();
    }
    Ok(result?)
}

/// A domain has asked for a service in another one, and was allowed: each learns of the other.
fn connect_two(arguments: &Dom0Arguments, requester: &Requester) -> anyhow::Result<i32> {
    let mut target = daemon(arguments, &arguments.domain)?;
    let route = Route {
        domain: requester.id,
        port: Port(0),
    };
    let command = arguments.command.clone().into_vec();
    let exec = Exec {
        mode: Mode::Attached,
        route,
        command,
    };
    let route = target.exec(&exec, DAEMON_PATIENCE)?;
    let mut source = daemon(arguments, &requester.name)?;
    let connect = ServiceConnect {
        route,
        ident: requester.ident.clone(),
    };
    source.connect_service(&connect, DAEMON_PATIENCE)?;
    if arguments.wait || arguments.kill {
        target.wait_for_end();
    }
    if arguments.kill {
        kill(&arguments.domain)?;
    }
    Ok(0)
}

/// dom0 calls a domain.
fn call_domain(
    arguments: &Dom0Arguments,
    record: &mut Record,
) -> anyhow::Result<Result<i32, NoCode>> {
    let mut daemon = daemon(arguments, &arguments.domain)?;
    let mode = if arguments.just_exec {
        Mode::Detached
    } else {
        Mode::Attached
    };
    let route = Route {
        domain: DomId::DOM0,
        port: Port(0),
    };
    let command = arguments.command.clone().into_vec();
    let route = daemon.exec(
        &Exec {
            mode,
            route,
            command,
        },
        DAEMON_PATIENCE,
    )?;
    record.started();
    let endpoints = Endpoints::from_environment().context("cannot reach other domains")?;
    let vchan = announce(&endpoints, route.domain, route.port)?;
    let orders = Orders::Stream(daemon.fd());
    let channel = meet(Version::OWN, vchan, orders, patience(arguments));
    let channel = channel.with_context(|| format!("{} did not take the call", arguments.domain))?;
    record.connected();
    let local = local(arguments)?;
    let what = format!("the call to {}", arguments.domain);
    let mut traffic = Traffic::default();
    let code = relay(channel, local, orders, &what, &mut traffic);
    record.moved(traffic);
    if arguments.kill {
        kill(&arguments.domain)?;
    }
    Ok(code)
}

fn patience(arguments: &Dom0Arguments) -> Option<Duration> {
    (arguments.patience > 0).then(|| Duration::from_secs(arguments.patience))
}

fn local(arguments: &Dom0Arguments) -> anyhow::Result<Local> {
    let prefix = arguments.prefix.as_bytes().to_vec();
    let choice = |on: bool| {
        if arguments.no_filter {
            Some(false)
        } else {
            on.then_some(true)
        }
    };
    let (filter_output, filter_errors) = (
        choice(arguments.filter_output),
        choice(arguments.filter_errors),
    );
    if arguments.just_exec {
        return Ok(Local {
            input: None,
            back: None,
            prefix: Vec::new(),
            output: Sink::nothing(),
            errors: Sink::nothing(),
            process: None,
        });
    }
    let Some(text) = &arguments.local_command else {
        let streams = Streams {
            prefix,
            stdin_socket: arguments.use_stdin_socket,
            filter_output,
            filter_errors,
        };
        return streams.open().context("cannot use this process's streams");
    };
    let mut command = Command::new(dom0_shell());
    command
        .arg("-c")
        .arg(text)
        .env("QREXEC_AGENT_PID", std::process::id().to_string());
    let program = Program::start(&mut command, false).context("cannot start the local command")?;
    Ok(Local {
        input: Some(program.output),
        back: Some(program.back),
        prefix,
        output: program.input,
        errors: Sink::standard_error()?.filtered(filter_errors.unwrap_or(false)),
        process: Some(program.process),
    })
}

/// Asks the domain manager to kill the domain.
fn kill(domain: &str) -> anyhow::Result<()> {
    use std::io::{Read as _, Write as _};
    let socket = layout().admin_socket();
    let talk = || -> std::io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&socket)?;
        write!(stream, "admin.vm.Kill dom0 name {domain}\0")?;
        stream.shutdown(std::net::Shutdown::Write)?;
        let mut reply = Vec::new();
        stream.take(65536).read_to_end(&mut reply)?;
        Ok(reply)
    };
    let reply =
        talk().with_context(|| format!("cannot reach the domain manager to kill {domain}"))?;
    if !reply.starts_with(b"0\0") {
        bail!("the domain manager did not kill {domain}");
    }
    Ok(())
}
