// SPDX-License-Identifier: MIT OR Apache-2.0
//! The socket on which a daemon takes calls in dom0.
//!
//! Order: daemon `HELLO` (3), client `HELLO` (3), then one command of the client.
//!
//! A daemon of version 2 greets with 2 and takes nothing else; all that follows is the same. So a client that
//! reads a 2 and has said 3 begins anew. A client of version 2 cannot be served: the daemon speaks first.
//!
//! - `EXEC_CMDLINE` or `JUST_EXEC` with port 0: the daemon picks a port, answers the same kind with
//!   the route (its own domain and the port), and forwards the command to its agent. The socket
//!   stays open; its end tells the client that the call has ended.
//! - The same with a port from 513 to 4608: forwarded as it is, without an answer.
//! - `SERVICE_CONNECT` answers a pending request of the domain with a route.
//!
//! What the daemon does not do is answered by the end of the stream. Where there is merely too much
//! under way, `SERVICE_REFUSED` comes before it, which programs other than ours take for the same.
//!
//! The word `DEFAULT:` at the start of a command stands for the domain's default user.
//! A client that says anything more is dropped, but for two words about its call:
//!
//! - `CONNECTION_TERMINATED` with the call's route says that the caller, in another domain, has gone and is not
//!   going to come if it has not. A client that just goes says nothing of the kind: helpers of other
//!   implementations go as soon as a call has been arranged.
//! - `SERVICE_REFUSED` with the id `END DOMAIN PORT`, as an agent is told it, says that the call has to end.
//!
//! After either the socket stays open, and its end tells that the domain's agent says that the call is over.

use std::ops::RangeInclusive;

use crate::agent_link::parse_end;
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
    /// The caller of the command that this client has asked for has gone.
    CallerGone(Route),
    /// The call that this client has asked for has to end.
    End(Route),
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

/// What a client hears from a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The call is on its way.
    Accepted(Accepted),
    /// Too much is under way in the domain; later it may be otherwise.
    Busy,
}

/// A daemon's answer when too much is under way.
pub fn busy() -> Vec<u8> {
    frame(Kind::ServiceRefused, &[&[0; IDENT_LEN]])
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
            Kind::ConnectionTerminated => Some(8..=8),
            Kind::ServiceRefused => Some(IDENT_LEN..=IDENT_LEN),
            _ => None,
        }
    }

    fn parse(kind: Kind, body: &[u8]) -> Result<Command, &'static str> {
        match kind {
            Kind::ExecCmdline => Exec::parse(Mode::Attached, body).map(Command::Exec),
            Kind::JustExec => Exec::parse(Mode::Detached, body).map(Command::Exec),
            Kind::ConnectionTerminated => Route::decode(body).map(Command::CallerGone),
            Kind::ServiceRefused => parse_end(body)
                .map(Command::End)
                .ok_or("no word for a daemon"),
            _ => {
                ServiceConnect::parse(body).map(|connect| Command::Connect(connect, body.len() - 8))
            }
        }
    }
}

impl Role for FromDaemon {
    type Message = Answer;
    const HELLO: Option<(Version, Version)> = Some((Version::SOCKET, Version::V2));

    fn bounds(kind: Kind, _: Version) -> Option<RangeInclusive<usize>> {
        match kind {
            Kind::ExecCmdline | Kind::JustExec | Kind::ServiceConnect => Some(8..=8),
            Kind::ServiceRefused => Some(IDENT_LEN..=IDENT_LEN),
            _ => None,
        }
    }

    fn parse(kind: Kind, body: &[u8]) -> Result<Answer, &'static str> {
        if kind == Kind::ServiceRefused {
            return Ok(Answer::Busy);
        }
        Route::decode(body).map(|route| Answer::Accepted(Accepted { kind, route }))
    }
}
