// SPDX-License-Identifier: GPL-3.0-or-later
//! From a command that was read to something that runs.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use qrexec_protocol::command::{Action, ServiceCall};
use qrexec_protocol::exec::Mode;
use qrexec_protocol::exit;
use qrexec_protocol::sanitize::service_for_log;
use qrexec_protocol::service::Shape;

use crate::complaint::chain;
use crate::identity::Identity;
use crate::journal::Journal;
use crate::lookup::{Found, SearchPath};
use crate::order::Order;
use crate::pam_session::Streams;
use crate::process::{Program, Running};
use crate::session_wait::SessionRuns;
use crate::shell::dom0_shell;
use crate::users::LOGIN_SHELL;
use crate::{environment, socket_service};

/// A service that was asked for.
#[derive(Debug)]
pub enum Started {
    /// A program with its streams.
    Program(Program),
    /// A connection.
    Socket(OwnedFd, Shape),
    /// A program on `/dev/null`, still to be reaped.
    Detached(Running),
    /// Nothing is running; the code says why, the shape tells which streams have to be ended.
    Failed(i32, Shape),
}

/// What it takes to start services on this side.
#[derive(Debug)]
pub struct Host {
    pub(crate) identity: Identity,
    pub(crate) services: SearchPath,
    configurations: SearchPath,
    pub(crate) session_runs: SessionRuns,
}

impl Host {
    /// A guest that searches where the environment says.
    pub fn new(identity: Identity) -> Self {
        Self::below(identity, Path::new("/"))
    }

    /// Dom0 of the installation with this root.
    pub fn dom0(root: &Path) -> Self {
        Self::below(Identity::Dom0, root)
    }

    fn below(identity: Identity, root: &Path) -> Self {
        Self {
            identity,
            services: SearchPath::services(root),
            configurations: SearchPath::configurations(root),
            session_runs: SessionRuns::default(),
        }
    }

    /// The fork server of this process's own session.
    pub fn session() -> Self {
        Self {
            configurations: SearchPath::empty(),
            ..Self::new(Identity::Session)
        }
    }

    /// An agent: it can switch users if it has root's rights.
    pub fn guest() -> io::Result<Self> {
        Ok(Self::new(Identity::of_agent()?))
    }

    /// Reads a command and the configuration of its service. A failure is logged.
    pub fn read(&self, command: &[u8]) -> Option<Order> {
        Order::read(command, &self.configurations)
    }

    /// Starts what the command says. Failures are logged and become an exit code.
    pub fn start(&self, command: &[u8], mode: Mode) -> Started {
        let order = self.read(command);
        if let Some(order) = &order
            && order.needs_session()
        {
            self.wait_for_session(order);
        }
        self.start_order(order.as_ref(), mode)
    }

    /// Starts what was read; what could not be read has failed. Nobody waits for a session.
    pub fn start_order(&self, order: Option<&Order>, mode: Mode) -> Started {
        let shape = self.failed(mode);
        let problem = Started::Failed(exit::PROBLEM, shape);
        let Some(order) = order else { return problem };
        let result = match &order.line.action {
            Action::Shell(text) => self.shell(&order.line.user, text, mode),
            Action::Service(call) => self.service(order, call, mode),
        };
        result.unwrap_or_else(|error| {
            tracing::warn!("cannot start {}: {}", order.name(), chain(&error));
            match error.kind() {
                io::ErrorKind::NotFound => Started::Failed(exit::NOT_FOUND, shape),
                _ => problem,
            }
        })
    }

    /// What stands in for a service that cannot be started.
    fn failed(&self, mode: Mode) -> Shape {
        match (mode, &self.identity) {
            (Mode::Detached, _) => Shape::Detached,
            (Mode::Attached, Identity::Dom0) => Shape::ProgramWithoutErrors,
            (Mode::Attached, _) => Shape::Failed,
        }
    }

    pub(crate) fn program(&self, path: &Path, call: &ServiceCall) -> Command {
        let mut command = Command::new(path);
        add_argument(&mut command, call);
        self.environment(&mut command, Some(call));
        command
    }

    /// Services in dom0 have two descriptors of their own, and their relay need not hear that they use one:
    /// they are not told who it is.
    pub(crate) fn environment(&self, command: &mut Command, call: Option<&ServiceCall>) {
        let relay = match self.identity {
            Identity::Dom0 => None,
            _ => Some(std::process::id()),
        };
        environment::set(command, call, relay);
    }

    fn shell(&self, user: &str, text: &[u8], mode: Mode) -> io::Result<Started> {
        let text = OsStr::from_bytes(text);
        let mut command = match &self.identity {
            Identity::Root { .. } => self.identity.command(user, Path::new(LOGIN_SHELL))?,
            Identity::Session => {
                let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
                let mut command = Command::new(shell.unwrap_or_else(|| "/bin/sh".into()));
                command.arg("-c");
                command
            }
            Identity::Dom0 => {
                let mut command = Command::new(dom0_shell());
                command.arg("-c");
                command
            }
            Identity::User(_) => {
                let mut command = self.identity.command(user, Path::new("/bin/sh"))?;
                command.arg("-c");
                command
            }
        };
        command.arg(text);
        self.environment(&mut command, None);
        self.run(&mut command, mode, None)
    }

    fn service(&self, order: &Order, call: &ServiceCall, mode: Mode) -> io::Result<Started> {
        let found = self
            .services
            .find(&call.service)
            .map_err(io::Error::other)?;
        let user = order.user();
        match found {
            Found::Nothing => {
                tracing::info!("no service {}", service_for_log(&call.service));
                Ok(Started::Failed(exit::NOT_FOUND, self.failed(mode)))
            }
            Found::Program(path) => {
                let mut command = self.identity.command(user, &path)?;
                add_argument(&mut command, call);
                self.environment(&mut command, Some(call));
                self.run(&mut command, mode, Some(call))
            }
            Found::Socket(path) => socket_service::begin(
                socket_service::connect(&path)?.into(),
                call,
                &order.config,
                mode,
            ),
            Found::Tcp(link) => {
                let address = link.address(&call.service).map_err(io::Error::other)?;
                // "No such service" is about the link, which is there.
                let stream = TcpStream::connect(address).map_err(io::Error::other)?;
                socket_service::begin(stream.into(), call, &order.config, mode)
            }
        }
    }

    /// Starts a command. What a service complains about is kept: in a guest in the guest's log, in dom0 in
    /// this process's own.
    fn run(
        &self,
        command: &mut Command,
        mode: Mode,
        call: Option<&ServiceCall>,
    ) -> io::Result<Started> {
        let dom0 = matches!(self.identity, Identity::Dom0);
        let journal = call.map(|call| match self.identity {
            Identity::Dom0 => Journal::own(call),
            _ => Journal::system(call),
        });
        if mode == Mode::Attached {
            let mut program = if self.identity.opens_sessions() {
                Program::start_in_session(command)?
            } else {
                // A shell command in dom0 complains where this process does.
                Program::start(command, !dom0 || journal.is_some())?
            };
            program.journal = journal;
            program.errors_stay = dom0;
            return Ok(Started::Program(program));
        }
        let errors = match journal {
            Some(journal) => {
                let (errors, theirs) = io::pipe()?;
                journal.follow(errors)?;
                theirs.into()
            }
            None => null()?,
        };
        let (input, output) = (null()?, null()?);
        self.run_with(
            command,
            Streams {
                input,
                output,
                errors,
            },
        )
        .map(Started::Detached)
    }

    /// Starts a command with these streams.
    pub(crate) fn run_with(&self, command: &mut Command, streams: Streams) -> io::Result<Running> {
        if self.identity.opens_sessions() {
            return Running::start_in_session(command, &streams);
        }
        let Streams {
            input,
            output,
            errors,
        } = streams;
        let running = Running::start(command.stdin(input).stdout(output).stderr(errors));
        // The command still holds the streams' other ends.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        running
    }
}

pub(crate) fn null() -> io::Result<OwnedFd> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    Ok(null.into())
}

fn add_argument(command: &mut Command, call: &ServiceCall) {
    if let Some(argument) = call.service.argument().filter(|a| !a.as_str().is_empty()) {
        command.arg(argument.as_str());
    }
}
