// SPDX-License-Identifier: GPL-3.0-or-later
//! Asking a domain's daemon in dom0, as its client.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qrexec_protocol::agent_link::{end_call, terminated};
use qrexec_protocol::client_link::{Accepted, Answer, FromDaemon};
use qrexec_protocol::exec::{Exec, Route, ServiceConnect};
use qrexec_protocol::frame::{Incoming, Receiver, Violation, hello};
use qrexec_protocol::version::Version;
use thiserror::Error;

use crate::wait::{Interest, wait};

/// A connection to a daemon.
///
/// Greetings cross on the way: whoever waits for the daemon's before asking waits twice. Ours goes
/// together with the question. The connection stays open as long as the call runs: its end tells
/// that the call has ended.
#[derive(Debug)]
pub struct DaemonSocket {
    stream: UnixStream,
    /// The greeting that is still to be said.
    greeting: Vec<u8>,
    /// What was asked last.
    command: Vec<u8>,
    receiver: Receiver<FromDaemon>,
    path: PathBuf,
}

/// Why a daemon could not be asked.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// Nobody listens there: the domain is not running, or its agent is not there.
    #[error("no qrexec daemon at {}", .0.display())]
    Absent(PathBuf),
    /// The daemon did not accept the command.
    #[error("the qrexec daemon at {} refused the call", .0.display())]
    Refused(PathBuf),
    /// Too many calls are under way in the domain.
    #[error("too many calls are under way at {}", .0.display())]
    Busy(PathBuf),
    /// The daemon did not answer in time.
    #[error("the qrexec daemon at {} does not answer", .0.display())]
    TimedOut(PathBuf),
    /// The socket failed.
    #[error("cannot talk with the qrexec daemon at {}", .path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What answers there is no qrexec daemon.
    #[error("what answers at {} is no qrexec daemon", .path.display())]
    Violation {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        source: Violation,
    },
}

impl DaemonSocket {
    /// Connects.
    pub fn connect(path: &Path) -> Result<Self, DaemonError> {
        let socket = |source| DaemonError::Socket {
            path: path.to_owned(),
            source,
        };
        let stream = match UnixStream::connect(path) {
            Ok(stream) => stream,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                ) =>
            {
                return Err(DaemonError::Absent(path.to_owned()));
            }
            Err(error) => return Err(socket(error)),
        };
        Ok(Self {
            stream,
            greeting: hello(Version::SOCKET),
            command: Vec::new(),
            receiver: Receiver::new(),
            path: path.to_owned(),
        })
    }

    /// Asks again a daemon that knows only version 2. It hangs up on another greeting, and has
    /// not read what came with it.
    fn begin_anew(&mut self) -> Result<(), DaemonError> {
        *self = Self {
            greeting: hello(Version::V2),
            command: std::mem::take(&mut self.command),
            receiver: Receiver::offering(Version::V2),
            ..Self::connect(&self.path)?
        };
        self.say()
    }

    /// Asks for a command to be started; the answer is the daemon's domain and the port.
    pub fn exec(&mut self, exec: &Exec, patience: Duration) -> Result<Route, DaemonError> {
        self.ask(&exec.encode())?;
        self.route(patience)
    }

    /// Answers a request of the daemon's domain with a route.
    ///
    /// Where the route says dom0 and port 0, the daemon picks the port and says which; else it says
    /// nothing, and `None` comes back.
    pub fn connect_service(
        &mut self,
        connect: &ServiceConnect,
        patience: Duration,
    ) -> Result<Option<Route>, DaemonError> {
        self.ask(&connect.encode())?;
        if connect.route.port.0 != 0 {
            // A daemon that cannot greet any more does not listen either.
            let deadline = Instant::now() + patience;
            while self.receiver.version().is_none() {
                self.receive(deadline)?;
            }
            return Ok(None);
        }
        self.route(patience).map(Some)
    }

    /// Readable once the call has ended.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// Waits until the call has ended.
    pub fn wait_for_end(&mut self) {
        let mut bytes = [0; 64];
        // The daemon has nothing more to say; what it says all the same is not listened to.
        while matches!(self.stream.read(&mut bytes), Ok(1..)) {}
    }

    /// Says that the caller of the call has gone.
    pub fn caller_gone(&self, route: Route) {
        self.mention(&terminated(route));
    }

    /// Says that the call has to end.
    pub fn end_call(&self, route: Route) {
        self.mention(&end_call(route));
    }

    fn mention(&self, word: &[u8]) {
        // A daemon that does not read is not waited for; to one that has gone nothing needs to be said.
        let _ = self.stream.set_nonblocking(true);
        let _ = (&self.stream).write_all(word);
    }

    fn route(&mut self, patience: Duration) -> Result<Route, DaemonError> {
        let deadline = Instant::now() + patience;
        loop {
            match self.receive(deadline)? {
                Incoming::Agreed(_) => {}
                Incoming::Message(Answer::Busy) => {
                    return Err(DaemonError::Busy(self.path.clone()));
                }
                Incoming::Message(Answer::Accepted(Accepted { route, .. })) => return Ok(route),
            }
        }
    }

    fn failed(&self, source: io::Error) -> DaemonError {
        let path = self.path.clone();
        match source.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => DaemonError::Refused(path),
            _ => DaemonError::Socket { path, source },
        }
    }

    /// Sends a command. A daemon that has hung up already may have said why.
    fn ask(&mut self, command: &[u8]) -> Result<(), DaemonError> {
        self.command = command.to_vec();
        self.say()
    }

    fn say(&mut self) -> Result<(), DaemonError> {
        let greeting = std::mem::take(&mut self.greeting);
        let sent = self
            .stream
            .write_all(&[greeting, self.command.clone()].concat());
        match sent.map_err(|source| self.failed(source)) {
            Err(DaemonError::Refused(_)) => Ok(()),
            result => result,
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<Incoming<Answer>, DaemonError> {
        loop {
            let violation = |source| DaemonError::Violation {
                path: self.path.clone(),
                source,
            };
            match self.receiver.next().map_err(violation)? {
                Some(Incoming::Agreed(Version::V2)) if self.receiver.offer() > Version::V2 => {
                    self.begin_anew()?;
                    continue;
                }
                Some(incoming) => return Ok(incoming),
                None => {}
            }
            let entry = (self.stream.as_fd(), Interest::Readable);
            let [seen] =
                wait([Some(entry)], Some(deadline)).map_err(|source| self.failed(source))?;
            if !seen.any() {
                return Err(DaemonError::TimedOut(self.path.clone()));
            }
            let mut bytes = [0; 64];
            let read = self.stream.read(&mut bytes);
            match read {
                Ok(0) => return Err(DaemonError::Refused(self.path.clone())),
                Ok(len) => self.receiver.push(&bytes[..len]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
    }
}
