// SPDX-License-Identifier: GPL-3.0-or-later
//! A program at one end of a call.

use std::fs;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use qrexec_protocol::exit;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::descriptors;
use crate::journal::Journal;
use crate::one_socket;
use crate::pam_session::{Keeper, Streams};
use crate::sink::Sink;
use crate::wait::{Interest, wait};

/// A process and the means to learn of its end without asking again and again.
#[derive(Debug)]
pub struct Running {
    child: Child,
    pidfd: OwnedFd,
    /// Where the process keeps a PAM session, in which another one is the program.
    keeper: Option<Keeper>,
}

/// A program whose streams are in our hands.
///
/// Input and output are two separate socket pairs, so that each can be ended by itself; errors are a pipe,
/// because services open `/proc/self/fd/2`, which a socket does not allow.
#[derive(Debug)]
pub struct Program {
    /// The process.
    pub process: Running,
    /// Its standard input.
    pub input: Sink,
    /// Its standard output.
    pub output: OwnedFd,
    /// What it writes to its standard input, which is a socket: some programs use one descriptor for
    /// both directions. Counts as output.
    pub back: OwnedFd,
    /// Its standard error, unless that goes elsewhere.
    pub errors: Option<PipeReader>,
    /// Where its errors are kept.
    pub journal: Option<Journal>,
    /// Its errors are kept, and the caller gets none.
    pub errors_stay: bool,
}

impl Running {
    /// Starts the command, which has the limits that this process has found.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        let running = Self::start_as_it_is(command)?;
        descriptors::give_back(Pid::from_child(&running.child));
        Ok(running)
    }

    fn start_as_it_is(command: &mut Command) -> io::Result<Self> {
        let mut child = one_socket::starting(|| command.spawn())?;
        let pidfd = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).inspect_err(|_| {
            // Nobody would hear of its end.
            let _ = child.kill();
            let _ = child.wait();
            one_socket::forget(child.id());
        })?;
        Ok(Self {
            child,
            pidfd,
            keeper: None,
        })
    }

    /// Starts a command that keeps a PAM session around a program, whose streams these are.
    pub(crate) fn start_in_session(command: &mut Command, streams: &Streams) -> io::Result<Self> {
        let (line, theirs) = UnixStream::pair()?;
        let keeper = Keeper::hand_over(line, streams)?;
        // What it has to say goes where we say ours.
        command
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        // PAM may set limits, so that this one is not to be set from here.
        let running = Self::start_as_it_is(command);
        command.stdin(Stdio::null());
        Ok(Self {
            keeper: Some(keeper),
            ..running?
        })
    }

    /// The pipes to its input and from its output, where the command asked for pipes.
    pub fn streams(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>) {
        (self.child.stdin.take(), self.child.stdout.take())
    }

    /// Readable once the process has ended.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The exit code, if the process has ended.
    pub fn ended(&mut self) -> Option<i32> {
        let status = self.child.try_wait().ok().flatten()?;
        one_socket::forget(self.child.id());
        Some(exit_code(status))
    }

    /// Whether the program goes on speaking on its input's socket after the end of its output: it has
    /// said so, or has put that socket in the place of its output too. It has not been reaped then.
    pub fn has_one_socket(&mut self) -> bool {
        one_socket::has_said(self.child.id()) || self.has_replaced_output()
    }

    fn has_replaced_output(&mut self) -> bool {
        let program = match &mut self.keeper {
            None => Some(self.child.id()),
            Some(keeper) => keeper.service(),
        };
        let Some(program) = program else { return false };
        let at = |number| fs::metadata(format!("/proc/{program}/fd/{number}"));
        match (at(0), at(1)) {
            (Ok(input), Ok(output)) => {
                input.file_type().is_socket()
                    && (input.dev(), input.ino()) == (output.dev(), output.ino())
            }
            _ => false,
        }
    }

    /// Asks the program to end, kills it if it has not by then, and waits for its end.
    pub fn end(&mut self, patience: Duration) {
        let service = self.keeper.as_mut().and_then(Keeper::service);
        let service = service.and_then(|number| Pid::from_raw(number.cast_signed()));
        let service = service.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // It may have ended by itself. Who keeps a session passes this on.
        let _ = pidfd_send_signal(&self.pidfd, Signal::TERM);
        let ended = (self.fd(), Interest::Readable);
        let _ = wait([Some(ended)], Some(Instant::now() + patience));
        match service {
            // The session is closed after it.
            Some(service) => drop(pidfd_send_signal(service, Signal::KILL)),
            None => drop(self.child.kill()),
        }
        self.reap();
    }

    /// Kills the process and waits for its end. A program in a PAM session, which is another process,
    /// is left to itself.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.reap();
    }

    /// Waits until the process has ended.
    pub fn reap(&mut self) -> i32 {
        let status = self.child.wait();
        one_socket::forget(self.child.id());
        status.map_or(exit::PROBLEM, exit_code)
    }
}

/// What a process says by ending.
pub fn exit_code(status: ExitStatus) -> i32 {
    let by_signal = status.signal().map(exit::by_signal);
    status.code().or(by_signal).unwrap_or(exit::PROBLEM)
}

impl Program {
    /// Starts the command with its streams attached to us; errors too if `errors` is set, else
    /// they go where ours go.
    pub fn start(command: &mut Command, errors: bool) -> io::Result<Self> {
        let (input, their_input) = UnixStream::pair()?;
        let (output, their_output) = UnixStream::pair()?;
        let ends = Ends::new(input, output)?;
        command
            .stdin(OwnedFd::from(their_input))
            .stdout(OwnedFd::from(their_output));
        let errors = if errors {
            let (reader, writer) = io::pipe()?;
            command.stderr(writer);
            Some(reader)
        } else {
            command.stderr(Stdio::inherit());
            None
        };
        let process = Running::start(command)?;
        // The command still holds the child's ends; as long as it does, no stream can end.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(ends.of(process, errors))
    }

    /// The same for a command that keeps a PAM session around the program.
    pub(crate) fn start_in_session(command: &mut Command) -> io::Result<Self> {
        let (input, their_input) = UnixStream::pair()?;
        let (output, their_output) = UnixStream::pair()?;
        let ends = Ends::new(input, output)?;
        let (errors, their_errors) = io::pipe()?;
        let streams = Streams {
            input: their_input.into(),
            output: their_output.into(),
            errors: their_errors.into(),
        };
        let process = Running::start_in_session(command, &streams)?;
        drop(streams);
        Ok(ends.of(process, Some(errors)))
    }
}

/// Our ends of a program's streams. They are made before it is started: a program that runs and cannot be
/// reached would be left alone.
struct Ends {
    input: Sink,
    back: OwnedFd,
    output: OwnedFd,
}

impl Ends {
    fn new(input: UnixStream, output: UnixStream) -> io::Result<Self> {
        // Nothing is to be read from its output.
        output.shutdown(std::net::Shutdown::Write)?;
        let back = OwnedFd::from(input.try_clone()?);
        let input = Sink::owned(input.into())?;
        let output = output.into();
        Ok(Self {
            input,
            back,
            output,
        })
    }

    fn of(self, process: Running, errors: Option<PipeReader>) -> Program {
        let Self {
            input,
            back,
            output,
        } = self;
        Program {
            process,
            input,
            output,
            back,
            errors,
            journal: None,
            errors_stay: false,
        }
    }
}
