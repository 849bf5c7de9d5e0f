// SPDX-License-Identifier: MIT OR Apache-2.0
//! The link between a domain's daemon in dom0 and its agent.
//!
//! Order: the agent (vchan server for dom0, port 512) sends `HELLO` as soon as it has created the
//! channel, the daemon answers with its own. Then
//!
//! - dom0 to domain: `EXEC_CMDLINE` or `JUST_EXEC` with the route of the data vchan; the agent
//!   connects to it, runs the command, and reports `CONNECTION_TERMINATED` with the same route.
//! - domain to anywhere: a trigger with a request id; the daemon answers `SERVICE_REFUSED`, or
//!   `SERVICE_CONNECT` with a route on which the caller in the domain then serves a data vchan.
//!   `CONNECTION_TERMINATED` follows when the caller has gone.
//!
//! A refusal may also follow an answer: then the call has ended before its caller met anybody, as when the
//! target has died. It is only sent for ids that are used once ([`RequestId::is_unique`]).
//!
//! Nor does every caller from outside come to the service that was started for it. What tells an agent so is
//! a refusal too, of a request that no agent makes: its id is `CALL DOMAIN PORT`, with the numbers of the
//! route. Agents that do not know this have no such request, and go on waiting.
//!
//! In the same way `END DOMAIN PORT` says that the call on this route has to end, at whichever of its ends
//! the agent is: the permission for it has ended. The agent ends the service, or tells the caller
//! ([`crate::agent_socket::ENDED`]), and reports the end as that of any other call. Only a daemon can say
//! so: an agent hears nothing from another domain, and writes the ids of its own domain's requests itself.
//!
//! Where a request is refused because too much is under way, the word [`BUSY`] stands behind the NUL
//! of the request id. Others do not look there.

use std::ops::RangeInclusive;

use bulkhead_types::Port;

use crate::agent_socket::BUSY;
use crate::exec::{Exec, Mode, Route, ServiceConnect};
use crate::frame::{Kind, Role, frame};
use crate::limits::{EXEC_BODY_MAX, IDENT_LEN};
use crate::trigger::{RequestId, UntrustedTrigger};
use crate::version::Version;

/// What a daemon hears from its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToDaemon {
    /// A process in the domain asks for a call.
    Trigger(UntrustedTrigger),
    /// A call's data vchan is no longer in use.
    Terminated(Route),
}

/// What an agent hears from its daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToAgent {
    /// Start a command.
    Exec(Exec),
    /// A request was allowed.
    Connect(ServiceConnect),
    /// A request was refused.
    Refused(RequestId, Refusal),
    /// The caller of a command that was started is not going to come; one that has come may stay.
    CallerGone(Route),
    /// The call on this route has to end.
    End(Route),
}

/// Why a request is refused, as far as the asking domain may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It will not be otherwise if the domain asks again.
    Denied,
    /// Too much is under way.
    Busy,
}

/// What the id begins with that stands for the caller of a command.
const CALL: &str = "CALL";
/// What the id begins with that stands for a call that has to end.
const END: &str = "END";

/// The rules by which a daemon reads its agent.
#[derive(Debug)]
pub struct FromAgent;

/// The rules by which an agent reads its daemon.
#[derive(Debug)]
pub struct FromDaemon;

impl Role for FromAgent {
    type Message = ToDaemon;
    const HELLO: Option<(Version, Version)> = Some((Version::OWN, Version::V2));

    fn bounds(kind: Kind, version: Version) -> Option<RangeInclusive<usize>> {
        let legal = match kind {
            Kind::ConnectionTerminated => return Some(8..=8),
            Kind::TriggerV2 => version == Version::V2,
            Kind::TriggerV3 => version >= Version::V3,
            Kind::TriggerV4 => version >= Version::V4,
            _ => false,
        };
        legal.then(|| UntrustedTrigger::bounds(kind))
    }

    fn parse(kind: Kind, body: &[u8]) -> Result<ToDaemon, &'static str> {
        match kind {
            Kind::ConnectionTerminated => Route::decode(body).map(ToDaemon::Terminated),
            _ => UntrustedTrigger::parse(kind, body).map(ToDaemon::Trigger),
        }
    }
}

impl Role for FromDaemon {
    type Message = ToAgent;
    const HELLO: Option<(Version, Version)> = Some((Version::OWN, Version::V2));

    fn bounds(kind: Kind, _: Version) -> Option<RangeInclusive<usize>> {
        match kind {
            Kind::ExecCmdline | Kind::JustExec => Some(9..=EXEC_BODY_MAX),
            Kind::ServiceConnect => Some(9..=8 + IDENT_LEN),
            Kind::ServiceRefused => Some(IDENT_LEN..=IDENT_LEN),
            _ => None,
        }
    }

    fn parse(kind: Kind, body: &[u8]) -> Result<ToAgent, &'static str> {
        match kind {
            Kind::ExecCmdline => Exec::parse(Mode::Attached, body).map(ToAgent::Exec),
            Kind::JustExec => Exec::parse(Mode::Detached, body).map(ToAgent::Exec),
            Kind::ServiceConnect => ServiceConnect::parse(body).map(ToAgent::Connect),
            _ => parse_refusal(body).ok_or("not a request id"),
        }
    }
}

/// A `SERVICE_REFUSED` frame for a request id as it was received.
pub fn refused(ident: &[u8; IDENT_LEN], why: Refusal) -> Vec<u8> {
    let mut field = *ident;
    let end = field.iter().position(|b| *b == 0).unwrap_or(IDENT_LEN);
    if let (Refusal::Busy, Some(room)) = (why, field.get_mut(end + 1..end + 1 + BUSY.len())) {
        room.copy_from_slice(BUSY);
    }
    frame(Kind::ServiceRefused, &[&field])
}

/// The frame that says that the caller of a command is not going to come.
pub fn caller_gone(route: Route) -> Vec<u8> {
    about_call(CALL, route)
}

/// The frame that says that a call has to end.
pub fn end_call(route: Route) -> Vec<u8> {
    about_call(END, route)
}

fn about_call(word: &str, route: Route) -> Vec<u8> {
    let Route { domain, port } = route;
    let mut field = [0; IDENT_LEN];
    // The longest has 21 characters.
    let text = format!("{word} {domain} {port}");
    field[..text.len()].copy_from_slice(text.as_bytes());
    frame(Kind::ServiceRefused, &[&field])
}

fn parse_about_call(ident: &RequestId) -> Option<ToAgent> {
    let (word, route) = ident.as_str().split_once(' ')?;
    let (domain, port) = route.split_once(' ')?;
    let route = Route {
        domain: domain.parse().ok()?,
        port: port.parse().map(Port).ok()?,
    };
    match word {
        CALL => Some(ToAgent::CallerGone(route)),
        END => Some(ToAgent::End(route)),
        _ => None,
    }
}

fn parse_refusal(body: &[u8]) -> Option<ToAgent> {
    let end = body.iter().position(|b| *b == 0)? + 1;
    let (ident, rest) = body.split_at(end);
    let why = match rest.strip_prefix(BUSY) {
        Some(padding) if padding.iter().all(|b| *b == 0) => Refusal::Busy,
        Some(_) => return None,
        None if rest.iter().all(|b| *b == 0) => Refusal::Denied,
        None => return None,
    };
    let ident = RequestId::parse(ident)?;
    parse_about_call(&ident).or(Some(ToAgent::Refused(ident, why)))
}

/// Reads the body of the frame that says that a call has to end.
pub(crate) fn parse_end(body: &[u8]) -> Option<Route> {
    match parse_refusal(body)? {
        ToAgent::End(route) => Some(route),
        _ => None,
    }
}

/// A `CONNECTION_TERMINATED` frame.
pub fn terminated(route: Route) -> Vec<u8> {
    frame(Kind::ConnectionTerminated, &[&route.encode()])
}

#[cfg(test)]
mod tests {
    use bulkhead_types::DomId;
    use proptest::prelude::*;

    use super::*;
    use crate::agent_socket::FromCaller;
    use crate::frame::{Incoming, Receiver, Violation, hello};

    fn greeted<R: Role>(peer: Version) -> Receiver<R> {
        let mut receiver = Receiver::new();
        receiver.push(&hello(peer));
        assert!(receiver.next().ok().flatten().is_some());
        receiver
    }

    #[test]
    fn nothing_is_heard_before_the_hello_and_no_second_hello_after_it() {
        let mut early = Receiver::<FromAgent>::new();
        early.push(&frame(Kind::ConnectionTerminated, &[&[0; 8]]));
        assert_eq!(early.next(), Err(Violation::UnexpectedKind(0x211)));
        let mut twice = greeted::<FromAgent>(Version::V4);
        twice.push(&hello(Version::V4));
        assert_eq!(twice.next(), Err(Violation::UnexpectedKind(0x300)));
    }

    #[test]
    fn each_version_has_its_triggers() {
        use Version::{V2, V3, V4};
        for (agreed, sent, legal) in [
            (V2, V2, true),
            (V2, V3, false),
            (V2, V4, false),
            (V3, V2, false),
            (V3, V3, true),
            (V3, V4, false),
            (V4, V2, false),
            (V4, V3, true),
            (V4, V4, true),
        ] {
            let mut receiver = greeted::<FromAgent>(agreed);
            let trigger = UntrustedTrigger::new("", "work", &RequestId::numbered(1), "s");
            receiver.push(&trigger.encode(sent).unwrap());
            assert_eq!(receiver.next().is_ok(), legal, "{sent} at {agreed}");
        }
    }

    #[test]
    fn a_length_is_judged_before_the_body_comes() {
        for (kind, len) in [
            (0x212, 96),
            (0x213, 160),
            (0x213, 65161),
            (0x211, 7),
            (0x213, u32::MAX),
        ] {
            let mut receiver = greeted::<FromAgent>(Version::V4);
            receiver.push(&[u32::to_le_bytes(kind), u32::to_le_bytes(len)].concat());
            assert_eq!(receiver.next(), Err(Violation::BadLength { kind, len }));
        }
    }

    fn to_agent() -> impl Strategy<Value = (Vec<u8>, ToAgent)> {
        let route = (0u32..0x7ff0, any::<u32>()).prop_map(|(domain, port)| Route {
            domain: DomId::new(domain).unwrap(),
            port: Port(port),
        });
        let ident = "[A-Za-z0-9 ._-]{0,31}"
            .prop_map(|text| RequestId::parse(format!("{text}\0").as_bytes()).unwrap());
        (route, ident, "[^\0]{0,200}", 0..7).prop_map(|(route, ident, command, which)| {
            let exec = |mode| Exec {
                mode,
                route,
                command: command.clone().into_bytes(),
            };
            match which {
                0 => (
                    exec(Mode::Attached).encode(),
                    ToAgent::Exec(exec(Mode::Attached)),
                ),
                1 => (
                    exec(Mode::Detached).encode(),
                    ToAgent::Exec(exec(Mode::Detached)),
                ),
                2 => {
                    let connect = ServiceConnect { route, ident };
                    (connect.encode(), ToAgent::Connect(connect))
                }
                3 => (
                    refused(&ident.field(), Refusal::Denied),
                    ToAgent::Refused(ident, Refusal::Denied),
                ),
                4 => (caller_gone(route), ToAgent::CallerGone(route)),
                5 => (end_call(route), ToAgent::End(route)),
                _ => {
                    let ident = RequestId::numbered(u64::MAX);
                    let frame = refused(&ident.field(), Refusal::Busy);
                    (frame, ToAgent::Refused(ident, Refusal::Busy))
                }
            }
        })
    }

    proptest! {
        #[test]
        fn what_one_side_writes_the_other_reads_however_it_is_cut(
            messages in prop::collection::vec(to_agent(), 0..6), piece in 1usize..40,
        ) {
            let bytes: Vec<u8> = messages.iter().flat_map(|(frame, _)| frame.clone()).collect();
            let mut receiver = greeted::<FromDaemon>(Version::V4);
            let mut seen = Vec::new();
            for part in bytes.chunks(piece) {
                receiver.push(part);
                while let Some(incoming) = receiver.next().unwrap() {
                    let Incoming::Message(message) = incoming else { panic!() };
                    seen.push(message);
                }
            }
            prop_assert_eq!(seen, messages.into_iter().map(|(_, message)| message).collect::<Vec<_>>());
            prop_assert_eq!(receiver.pending(), 0);
        }

        #[test]
        fn no_bytes_make_a_receiver_fall_over(
            kind in prop::sample::select(vec![0x200u32, 0x201, 0x202, 0x203, 0x210, 0x211, 0x212, 0x213, 0x300, 1]),
            len in 0u32..300, body: Vec<u8>,
        ) {
            let bytes = [&kind.to_le_bytes()[..], &len.to_le_bytes(), &body].concat();
            let mut daemon = greeted::<FromAgent>(Version::V4);
            let mut agent = greeted::<FromDaemon>(Version::V4);
            let mut socket = Receiver::<FromCaller>::new();
            daemon.push(&bytes);
            agent.push(&bytes);
            socket.push(&bytes);
            while let Ok(Some(Incoming::Message(message))) = daemon.next() {
                if let ToDaemon::Trigger(trigger) = message { let _ = trigger.check(); }
            }
            while let Ok(Some(_)) = agent.next() {}
            while let Ok(Some(_)) = socket.next() {}
        }
    }
}
