// SPDX-License-Identifier: GPL-3.0-or-later
//! Programs in dom0 that ask for calls.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use qrexec_protocol::client_link::{Accepted, Command, FromClient, busy};
use qrexec_protocol::exec::Route;
use qrexec_protocol::frame::{Incoming, Kind, Receiver, hello};
use qrexec_protocol::version::Version;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client and how far it has come.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    receiver: Receiver<FromClient>,
    deadline: Instant,
    greeted: bool,
    running: Option<(Kind, Route)>,
}

/// What a client did.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Nothing that matters yet.
    Nothing,
    /// Its one command.
    Command(Command),
    /// It has gone, or said what it should not: it is to be dropped.
    Gone,
    /// The caller of its call has gone.
    CallerGone,
    /// Its call has to end.
    End,
}

impl Client {
    /// A client that has connected. One that has said already what it wants is answered together with
    /// the greeting, and wakes up once.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let deadline = Instant::now() + PATIENCE;
        Ok(Self {
            stream,
            receiver: Receiver::new(),
            deadline,
            greeted: false,
            running: None,
        })
    }

    /// Greets the client, unless that is done.
    pub fn greet(&mut self) -> io::Result<()> {
        self.say(&[])
    }

    /// Says something, after the greeting if that is still to be said. All of it fits into a socket
    /// that nothing else was written to.
    fn say(&mut self, answer: &[u8]) -> io::Result<()> {
        let greeting = hello(Version::SOCKET);
        let greeting = if self.greeted { &[] } else { &greeting[..] };
        self.greeted = true;
        self.stream.write_all(&[greeting, answer].concat())
    }

    /// Tells a newcomer that there are too many.
    pub fn turn_away(stream: UnixStream) {
        if let Ok(client) = Self::new(stream) {
            client.too_many();
        }
    }

    /// Tells the client that too much is under way.
    pub fn too_many(mut self) {
        let _ = self.say(&busy());
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    /// When the client is to be dropped if it has not said anything by then.
    pub fn deadline(&self) -> Option<Instant> {
        self.running.is_none().then_some(self.deadline)
    }

    /// Whether the client is only here to learn of the end of this call.
    pub fn runs(&self, route: Route) -> bool {
        self.running.is_some_and(|(_, own)| own == route)
    }

    /// The call into the domain that this client has started.
    pub fn started(&self) -> Option<Route> {
        let (kind, route) = self.running?;
        (kind != Kind::ServiceConnect).then_some(route)
    }

    /// The client's call runs on this route; it is told so if `answer` is there.
    pub fn run(&mut self, kind: Kind, route: Route, answer: Option<Accepted>) -> io::Result<()> {
        self.running = Some((kind, route));
        match answer {
            Some(answer) => self.say(&answer.encode()),
            None => self.greet(),
        }
    }

    /// Reads what the client has said.
    pub fn hear(&mut self) -> Heard {
        let mut bytes = [0; 4096];
        let len = match self.stream.read(&mut bytes) {
            Ok(len) => len,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Heard::Nothing;
            }
            Err(_) => 0,
        };
        if len == 0 {
            return Heard::Gone;
        }
        self.receiver.push(&bytes[..len]);
        loop {
            return match self.receiver.next() {
                Ok(Some(Incoming::Agreed(_))) => continue,
                Ok(Some(Incoming::Message(command))) if self.receiver.pending() == 0 => {
                    match (command, self.running) {
                        (Command::CallerGone(_), Some(_)) => Heard::CallerGone,
                        (Command::End(_), Some(_)) => Heard::End,
                        // A client whose call runs has nothing else to say.
                        (Command::CallerGone(_) | Command::End(_), None) | (_, Some(_)) => {
                            Heard::Gone
                        }
                        (command, None) => Heard::Command(command),
                    }
                }
                Ok(None) => Heard::Nothing,
                _ => Heard::Gone,
            };
        }
    }
}
