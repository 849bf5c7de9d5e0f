// SPDX-License-Identifier: MIT OR Apache-2.0
//! The socket on which a daemon takes calls in dom0.
//!
//! Order: daemon `HELLO` (3), client `HELLO` (3), then one command of the client.
//!
//! - `EXEC_CMDLINE` or `JUST_EXEC` with port 0: the daemon picks a port, answers the same kind with
//!   the route (its own domain and the port), and forwards the command to its agent. The socket
//!   stays open; its end tells the client that the call has ended.
//! - The same with a port from 513 to 768: forwarded as it is, without an answer.
//! - `SERVICE_CONNECT` answers a pending request of the domain with a route.
//!
//! The word `DEFAULT:` at the start of a command stands for the domain's default user.
//! A client that says anything more is dropped.

use std::ops::RangeInclusive;

use crate::exec::{Exec, Mode, Route, ServiceConnect};
use crate::frame::{Kind, Role, frame};
use crate::limits::{EXEC_BODY_MAX, IDENT_LEN};
use crate::version::Version;

/// What a client may ask of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start a command in the domain.
    Exec(Exec),
    /// Answer one of the domain's requests. The second value is the length of the id's field as it was
    /// received: it may be cut after the NUL, and is passed on as long as it is.
    Connect(ServiceConnect, usize),
}

/// A daemon's answer: where the data of the call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Which kind of command is answered.
    pub kind: Kind,
    /// The daemon's domain and the port.
    pub route: Route,
}

impl Accepted {
    /// The whole frame.
    pub fn encode(self) -> Vec<u8> {
        frame(self.kind, &[&self.route.encode()])
    }
}

/// The rules by which a daemon reads a client.
#[derive(Debug)]
pub struct FromClient;

/// The rules by which a client reads a daemon.
#[derive(Debug)]
pub struct FromDaemon;

impl Role for FromClient {
    type Message = Command;
    const HELLO: Option<(Version, Version)> = Some((Version::SOCKET, Version::V3));

    fn bounds(kind: Kind, _: Version) -> Option<RangeInclusive<usize>> {
        match kind {
            Kind::ExecCmdline | Kind::JustExec => Some(9..=EXEC_BODY_MAX),
            Kind::ServiceConnect => Some(9..=8 + IDENT_LEN),
            _ => None,
        }
    }

    fn parse(kind: Kind, body: &[u8]) -> Result<Command, &'static str> {
        match kind {
            Kind::ExecCmdline => Exec::parse(Mode::Attached, body).map(Command::Exec),
            Kind::JustExec => Exec::parse(Mode::Detached, body).map(Command::Exec),
            _ => {
                ServiceConnect::parse(body).map(|connect| Command::Connect(connect, body.len() - 8))
            }
        }
    }
}

impl Role for FromDaemon {
    type Message = Accepted;
    const HELLO: Option<(Version, Version)> = Some((Version::SOCKET, Version::V3));

    fn bounds(kind: Kind, _: Version) -> Option<RangeInclusive<usize>> {
        match kind {
            Kind::ExecCmdline | Kind::JustExec | Kind::ServiceConnect => Some(8..=8),
            _ => None,
        }
    }

    fn parse(kind: Kind, body: &[u8]) -> Result<Accepted, &'static str> {
        Route::decode(body).map(|route| Accepted { kind, route })
    }
}
