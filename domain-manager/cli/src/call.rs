// SPDX-License-Identifier: GPL-3.0-or-later
//! Running commands in domains, through the qrexec client.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use bulkhead_admin::Status;
use bulkhead_files::command_word;
use bulkhead_types::DomainName;

use crate::arguments::{Disposable, Run};
use crate::client::Client;
use crate::failure::Failure;

/// Added to a signal's number for the exit code, as shells do.
const SIGNAL_BASE: i32 = 128;

/// How often, and how long after each time, a running domain's socket is looked for.
const SOCKET_TRIES: u32 = 50;
const SOCKET_PAUSE: Duration = Duration::from_millis(40);

pub fn run(client: &Client, run: &Run) -> Result<u8, Failure> {
    let status = client.status()?;
    client.warn(&status);
    start(client, &run.domain)?;
    let mut command = vm_exec(
        client,
        &status,
        &run.domain,
        service(run.gui),
        run.user.as_deref(),
        &run.words,
    );
    let error = command.exec();
    Err(no_client(&command, &error))
}

/// Starts a domain, and waits for its qrexec daemon.
fn start(client: &Client, domain: &DomainName) -> Result<(), Failure> {
    let folder = client.layout().qrexec_dir();
    let socket = folder.join(format!("qrexec.{domain}"));
    for _ in 0..SOCKET_TRIES {
        client.domain("admin.vm.Start", domain, b"")?;
        // A guest that has died a moment ago still counts as running, and its daemon is gone.
        if socket.exists() || !folder.exists() {
            break;
        }
        std::thread::sleep(SOCKET_PAUSE);
    }
    // Without it the qrexec client says what is missing.
    Ok(())
}

pub fn disposable(client: &Client, asked: &Disposable) -> Result<u8, Failure> {
    let status = client.status()?;
    client.warn(&status);
    let base = asked.template.clone().unwrap_or_else(DomainName::dom0);
    let answer = client.domain("admin.vm.CreateDisposable", &base, b"")?;
    let name = String::from_utf8_lossy(&answer);
    let name = DomainName::parse(&name)
        .map_err(|error| Failure::new("the domain manager named no disposable").because(&error))?;
    let outcome = (|| {
        client.domain("admin.vm.Start", &name, b"")?;
        let mut command = vm_exec(
            client,
            &status,
            &name,
            service(asked.gui),
            asked.user.as_deref(),
            &asked.words,
        );
        let ended = command
            .status()
            .map_err(|error| no_client(&command, &error))?;
        Ok(exit_code(ended))
    })();
    // A start that failed has removed it already.
    match (client.domain("admin.vm.Kill", &name, b""), &outcome) {
        (Err(failure), Ok(_)) => Err(failure),
        _ => outcome,
    }
}

/// The service that runs a command; the second waits for the session first.
fn service(gui: bool) -> &'static str {
    if gui {
        "qubes.VMExecGUI"
    } else {
        "qubes.VMExec"
    }
}

fn vm_exec(
    client: &Client,
    status: &Status,
    domain: &DomainName,
    service: &str,
    user: Option<&str>,
    words: &[OsString],
) -> Command {
    let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
    let service = format!("{service}+{}", command_word::encode(&words));
    let mut command = qrexec_client(client, status, domain, user, &service);
    // What a guest prints must not steer the terminal.
    if std::io::stdout().is_terminal() {
        command.arg("-t");
    }
    if std::io::stderr().is_terminal() {
        command.arg("-T");
    }
    command
}

/// The qrexec client, calling a service of a domain for dom0.
pub fn qrexec_client(
    client: &Client,
    status: &Status,
    domain: &DomainName,
    user: Option<&str>,
    service: &str,
) -> Command {
    let mut command = Command::new(beside("qrexec-client"));
    command
        .envs(status.environment.iter().map(|(name, value)| (name, value)))
        .arg(format!(
            "--socket-dir={}",
            client.layout().qrexec_dir().display()
        ))
        .args(["-d", domain.as_str()]);
    let user = user.unwrap_or("DEFAULT");
    command.arg(format!("{user}:QUBESRPC {service} dom0"));
    command
}

/// A program of ours: where this one lies, or else where `PATH` says.
pub fn beside(program: &str) -> PathBuf {
    let own = std::env::current_exe().ok();
    let beside = own.and_then(|own| Some(own.parent()?.join(program)));
    let installed = PathBuf::from("/usr/lib/bulkhead").join(program);
    let places = beside.into_iter().chain([installed]);
    let mut there = places.filter(|path| path.is_file());
    there.next().unwrap_or_else(|| PathBuf::from(program))
}

/// The exit code of a program as a shell would give it.
pub fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| Some(SIGNAL_BASE + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

pub fn no_client(command: &Command, error: &std::io::Error) -> Failure {
    let program = command.get_program().to_string_lossy().into_owned();
    Failure::new(format!("cannot run `{program}`"))
        .because(error)
        .hint("install the whole of Bulkhead, or put its programs on PATH")
}
