// SPDX-License-Identifier: GPL-3.0-or-later
//! From a command string to something that runs.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bulkhead_types::Service;
use nix::unistd::{Uid, User};
use qrexec_protocol::command::{Action, CommandLine, ServiceCall};
use qrexec_protocol::exec::Mode;
use qrexec_protocol::exit;
use qrexec_protocol::sanitize::service_for_log;
use qrexec_protocol::service::Shape;
use qrexec_protocol::service_config::ServiceConfig;

use crate::descriptors::Limit;
use crate::journal::Journal;
use crate::lookup::{Found, SearchPath};
use crate::pam_session::{self, Streams};
use crate::process::{Program, Running};
use crate::users::{LOGIN_SHELL, SWITCH_WORD};
use crate::{environment, sink};

/// As whom this process runs, and what that means for services.
#[derive(Clone, Debug)]
pub enum Identity {
    /// An agent with root's rights starts services as the user that was asked for, through this
    /// program (itself), or in a PAM session, through the other one.
    Root {
        /// This program.
        own: PathBuf,
        /// The one that keeps a PAM session, where the guest wants that.
        session: Option<PathBuf>,
    },
    /// An agent without them starts services for its own user only.
    User(String),
    /// The fork server of a user's session: the agent has chosen it by its user, and has looked at
    /// the service's configuration.
    Session,
    /// In dom0 services run as whoever runs the daemon.
    Dom0,
}

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
    identity: Identity,
    services: SearchPath,
    configurations: SearchPath,
    /// Counts the runs of `qubes.WaitForSession`; held by the one that runs.
    session: Mutex<()>,
    sessions_seen: AtomicU64,
}

/// A command that was read, together with its service's configuration.
#[derive(Debug)]
pub struct Order {
    line: CommandLine,
    config: ServiceConfig,
}

impl Order {
    /// Who runs it: whom the configuration names, or else whom the command names.
    pub fn user(&self) -> &str {
        self.config.force_user.as_deref().unwrap_or(&self.line.user)
    }

    /// Whether it has to wait for the user's session.
    pub fn needs_session(&self) -> bool {
        self.config.wait_for_session && !self.line.nogui
    }

    /// Whether the fork server in the user's session may run it. What needs no session does not go
    /// there, nor what depends on a configuration that a fork server does not read.
    pub fn suits_session(&self) -> bool {
        let ServiceConfig {
            skip_service_descriptor,
            exit_on_client_eof,
            exit_on_service_eof,
            ..
        } = self.config;
        !(self.line.nogui || skip_service_descriptor || exit_on_client_eof || exit_on_service_eof)
    }

    fn name(&self) -> String {
        match &self.line.action {
            Action::Shell(_) => "a shell command".to_owned(),
            Action::Service(call) => service_for_log(&call.service),
        }
    }
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
            session: Mutex::new(()),
            sessions_seen: AtomicU64::new(0),
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
        let uid = Uid::effective();
        let identity = if uid.is_root() {
            let own = std::env::current_exe()?;
            let session = pam_session::program(&own);
            Identity::Root { own, session }
        } else {
            let user = User::from_uid(uid)?;
            Identity::User(user.map_or_else(|| uid.to_string(), |user| user.name))
        };
        Ok(Self::new(identity))
    }

    /// Reads a command and the configuration of its service. A failure is logged.
    pub fn read(&self, command: &[u8]) -> Option<Order> {
        let line = match CommandLine::parse(command) {
            Ok(line) => line,
            Err(error) => {
                tracing::warn!("cannot run a command: {error}");
                return None;
            }
        };
        let config = match &line.action {
            Action::Shell(_) => Ok(ServiceConfig::default()),
            Action::Service(call) => self.configurations.configuration(&call.service),
        };
        match config {
            Ok(config) => {
                let order = Order { line, config };
                for key in &order.config.unknown {
                    tracing::warn!(
                        "{}: the configuration has an unknown key `{}`",
                        order.name(),
                        key.escape_debug()
                    );
                }
                Some(order)
            }
            Err(error) => {
                tracing::warn!("cannot run a command: {}", chain(&error));
                None
            }
        }
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

    /// Runs a call from dom0 to dom0: the service has this process's own streams.
    pub fn run_here(&self, command: &[u8]) -> i32 {
        let line = match CommandLine::parse(command) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!("cannot run the call: {error}");
                return exit::PROBLEM;
            }
        };
        let Action::Service(call) = &line.action else {
            tracing::error!("a call from dom0 to dom0 has to name a service");
            return exit::PROBLEM;
        };
        match self.services.find(&call.service) {
            Ok(Found::Program(path)) => {
                let mut command = self.program(&path, call);
                Running::start(&mut command).map_or(exit::PROBLEM, |mut process| process.reap())
            }
            Ok(Found::Nothing) => {
                let service = service_for_log(&call.service);
                tracing::error!("there is no service {service} in dom0");
                exit::NOT_FOUND
            }
            Ok(_) => {
                tracing::error!(
                    "{} is a socket; dom0 cannot call those of its own",
                    service_for_log(&call.service)
                );
                exit::PROBLEM
            }
            Err(error) => {
                tracing::error!("cannot start {}: {error}", service_for_log(&call.service));
                exit::PROBLEM
            }
        }
    }

    fn program(&self, path: &Path, call: &ServiceCall) -> Command {
        let mut command = Command::new(path);
        add_argument(&mut command, call);
        self.environment(&mut command, Some(call));
        command
    }

    /// Services in dom0 have two descriptors of their own, and their relay need not hear that they use one:
    /// they are not told who it is.
    fn environment(&self, command: &mut Command, call: Option<&ServiceCall>) {
        let relay = match self.identity {
            Identity::Dom0 => None,
            _ => Some(std::process::id()),
        };
        environment::set(command, call, relay);
    }

    fn shell(&self, user: &str, text: &[u8], mode: Mode) -> io::Result<Started> {
        let text = OsStr::from_bytes(text);
        let mut command = match &self.identity {
            Identity::Root { .. } => self.as_user(user, Path::new(LOGIN_SHELL))?,
            Identity::Session => {
                let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
                let mut command = Command::new(shell.unwrap_or_else(|| "/bin/sh".into()));
                command.arg("-c");
                command
            }
            _ => {
                let mut command = self.as_user(user, Path::new("/bin/sh"))?;
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
                let mut command = self.as_user(user, &path)?;
                add_argument(&mut command, call);
                self.environment(&mut command, Some(call));
                self.run(&mut command, mode, Some(call))
            }
            Found::Socket(path) => self.socket(connect(&path)?.into(), call, &order.config, mode),
            Found::Tcp(link) => {
                let address = link.address(&call.service).map_err(io::Error::other)?;
                // "No such service" is about the link, which is there.
                let stream = TcpStream::connect(address).map_err(io::Error::other)?;
                self.socket(stream.into(), call, &order.config, mode)
            }
        }
    }

    fn socket(
        &self,
        fd: OwnedFd,
        call: &ServiceCall,
        config: &ServiceConfig,
        mode: Mode,
    ) -> io::Result<Started> {
        if !config.skip_service_descriptor {
            sink::write_all(&fd, format!("{}\0", call.words()).as_bytes())?;
        }
        if mode == Mode::Detached {
            return Ok(Started::Failed(0, Shape::Detached));
        }
        let shape = Shape::Socket {
            until_client_eof: config.exit_on_client_eof,
            until_service_eof: config.exit_on_service_eof,
        };
        Ok(Started::Socket(fd, shape))
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
            let mut program = if self.opens_sessions() {
                Program::start_in_session(command)?
            } else {
                Program::start(command, true)?
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
    fn run_with(&self, command: &mut Command, streams: Streams) -> io::Result<Running> {
        if self.opens_sessions() {
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

    /// Whether a command that runs as a user keeps a PAM session around it.
    fn opens_sessions(&self) -> bool {
        let Identity::Root { session, .. } = &self.identity else {
            return false;
        };
        session.is_some()
    }

    /// A command that runs `program` as `user`.
    fn as_user(&self, user: &str, program: &Path) -> io::Result<Command> {
        match &self.identity {
            Identity::Root { own, session } => {
                // The other program says so itself.
                if session.is_none() && User::from_name(user)?.is_none() {
                    let text = format!("there is no user `{}`", user.escape_debug());
                    return Err(io::Error::other(text));
                }
                let mut command = Command::new(session.as_ref().unwrap_or(own));
                if session.is_none() {
                    command.arg(SWITCH_WORD);
                }
                command.arg(Limit::found().word()).arg(user).arg(program);
                Ok(command)
            }
            Identity::User(own) if own == user => Ok(Command::new(program)),
            Identity::User(own) => {
                let text = format!(
                    "the agent runs as {own} and cannot run anything as {}",
                    user.escape_debug()
                );
                Err(io::Error::other(text))
            }
            Identity::Dom0 | Identity::Session => Ok(Command::new(program)),
        }
    }

    /// Runs `qubes.WaitForSession` to its end; whoever asks meanwhile waits for that same run.
    /// Whatever it says, the call goes on: a service that needs a display fails by itself.
    pub fn wait_for_session(&self, order: &Order) {
        let user = order.user();
        let source = match &order.line.action {
            Action::Service(call) => call.source.as_str(),
            Action::Shell(_) => "",
        };
        let asked = self.sessions_seen.load(Ordering::Acquire);
        let _turn = self
            .session
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if self.sessions_seen.load(Ordering::Acquire) != asked {
            return;
        }
        let waited = || -> io::Result<()> {
            let service = Service::parse("qubes.WaitForSession+").map_err(io::Error::other)?;
            let Found::Program(path) = self.services.find(&service).map_err(io::Error::other)?
            else {
                return Err(io::Error::other("there is no program qubes.WaitForSession"));
            };
            let mut command = self.as_user(user, &path)?;
            self.environment(&mut command, None);
            command.env("QREXEC_REMOTE_DOMAIN", source);
            let (input, mut ours) = io::pipe()?;
            let streams = Streams {
                input: input.into(),
                output: null()?,
                errors: io::stderr().as_fd().try_clone_to_owned()?,
            };
            let mut running = self.run_with(&mut command, streams)?;
            // It may end without having read its input.
            let _ = writeln!(ours, "{user}");
            drop(ours);
            running.reap();
            Ok(())
        };
        let result = waited();
        self.sessions_seen.fetch_add(1, Ordering::Release);
        if let Err(error) = result {
            tracing::warn!(
                "cannot wait for the session of {}: {error}",
                user.escape_debug()
            );
        }
    }
}

fn null() -> io::Result<OwnedFd> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    Ok(null.into())
}

fn add_argument(command: &mut Command, call: &ServiceCall) {
    if let Some(argument) = call.service.argument().filter(|a| !a.as_str().is_empty()) {
        command.arg(argument.as_str());
    }
}

/// Connects to a socket, also where its path is longer than an address can hold.
fn connect(path: &Path) -> io::Result<UnixStream> {
    let failed = |error: io::Error| io::Error::other(format!("{}: {error}", path.display()));
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(error);
            };
            let dir = File::open(dir)?;
            let near = Path::new("/proc/self/fd")
                .join(dir.as_raw_fd().to_string())
                .join(name);
            UnixStream::connect(near).map_err(failed)
        }
        other => other.map_err(failed),
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
