// SPDX-License-Identifier: MIT OR Apache-2.0
//! The agent's own socket, on which programs of its domain ask for calls.
//!
//! A caller in the guest sends one trigger to the agent's socket; the answer is the 8 bytes of a
//! [`crate::exec::Route`], or the end of the stream for a refusal. The word [`ALONE`] after a route, or the end of
//! the stream, says that the other side is not likely to come any more, and [`ENDED`] that the call has to
//! end. Where dom0 speaks version 2, that number follows the
//! route ([`Connection`]): what serves there takes no greeting with another one. Programs other than ours do
//! not read so far.
//!
//! Nobody greets on that socket. An agent knows the trigger of its own version only: one of version 2 takes the
//! bare body, one of version 3 and one of version 4 each their own frame. An agent that does not know what it
//! was sent hangs up before it has read all of it, and the caller hears that as a reset of the connection; after
//! a refusal, for which everything was read, it hears the end. So a caller whose connection was reset
//! has asked for nothing yet, and may ask again in the words of another version. The order is 4, 2, 3
//! ([`TRIGGERS`]): those of version 3 may be too short for an agent of version 2, which then waits for
//! ever. Such an agent takes the first 128 bytes of the frame of version 4 for a request, whose service has
//! no name that a policy could allow. Our agent knows them all.
//!
//! A caller whose request was refused because too much is under way hears the word [`BUSY`] before the end. Others do
//! not look there.

use std::ops::RangeInclusive;

use crate::exec::Route;
use crate::frame::{Kind, Role, header, word};
use crate::limits::HEADER_LEN;
use crate::trigger::UntrustedTrigger;
use crate::version::Version;

/// The versions in whose words a caller asks an agent, one after the other until it is heard.
pub const TRIGGERS: [Version; 3] = [Version::V4, Version::V2, Version::V3];

/// What an agent says to a caller whose request was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Where the data of the call goes.
    pub route: Route,
    /// What to offer there.
    pub version: Version,
}

impl Connection {
    /// The bytes on the socket, which go out at once.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = self.route.encode().to_vec();
        if self.version == Version::V2 {
            bytes.extend_from_slice(&self.version.number().to_le_bytes());
        }
        bytes
    }

    /// Reads what has come; `None` when that is no route.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (route, rest) = bytes.split_at_checked(8)?;
        let version = match word(rest, 0) {
            Some(2) => Version::V2,
            _ => Version::OWN,
        };
        let route = Route::decode(route).ok()?;
        Some(Self { route, version })
    }
}

/// Whether a request that begins so is the bare body of a trigger of version 2. It begins with a name; a frame's
/// header begins with a control character.
pub fn is_unframed(first: &u8) -> bool {
    first.is_ascii_graphic()
}

/// The header that such a body lacks.
pub fn unframed_header() -> [u8; HEADER_LEN] {
    header(Kind::TriggerV2, 128)
}

/// What a caller hears before the end where its request was refused because too much is under way; the daemon's
/// refusal holds it too ([`crate::agent_link::Refusal::Busy`]).
pub const BUSY: &[u8; 4] = b"busy";
/// What an agent says to a caller after the route when the other side is not likely to come any more.
pub const ALONE: &[u8; 5] = b"alone";
/// What it says when the call has to end. Of either the last character tells.
pub const ENDED: &[u8; 5] = b"ended";

/// The rules by which an agent reads a caller on its socket: one trigger of any version.
#[derive(Debug)]
pub struct FromCaller;

impl Role for FromCaller {
    type Message = UntrustedTrigger;
    const HELLO: Option<(Version, Version)> = None;

    fn bounds(kind: Kind, _: Version) -> Option<RangeInclusive<usize>> {
        matches!(kind, Kind::TriggerV2 | Kind::TriggerV3 | Kind::TriggerV4)
            .then(|| UntrustedTrigger::bounds(kind))
    }

    fn parse(kind: Kind, body: &[u8]) -> Result<UntrustedTrigger, &'static str> {
        UntrustedTrigger::parse(kind, body)
    }
}
