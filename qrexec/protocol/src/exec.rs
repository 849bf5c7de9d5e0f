// SPDX-License-Identifier: MIT OR Apache-2.0
//! Exec parameters: which domain and port a call's data goes through, and a command.
//!
//! On the wire: domain and port as words, then the command with a closing NUL.

use bulkhead_types::{DomId, Port};

use crate::frame::{Kind, frame, word};
use crate::trigger::RequestId;

/// How a command is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// With its streams attached to the call (`EXEC_CMDLINE`).
    Attached,
    /// On `/dev/null`: only an exit code comes back (`JUST_EXEC`).
    Detached,
}

impl Mode {
    /// The frame kind that asks for it.
    pub fn kind(self) -> Kind {
        match self {
            Self::Attached => Kind::ExecCmdline,
            Self::Detached => Kind::JustExec,
        }
    }
}

/// Where the data of a call goes: the other domain, and the port of the vchan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    /// The domain at the other end.
    pub domain: DomId,
    /// The port of the data vchan; 0 where it is still to be chosen.
    pub port: Port,
}

impl Route {
    /// The 8 bytes on the wire.
    pub fn encode(self) -> [u8; 8] {
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&u32::from(self.domain).to_le_bytes());
        bytes[4..].copy_from_slice(&self.port.0.to_le_bytes());
        bytes
    }

    /// Reads the two words at the beginning of a body.
    pub fn decode(body: &[u8]) -> Result<Self, &'static str> {
        let words = word(body, 0).zip(word(body, 4));
        let (domain, port) = words.ok_or("domain and port are missing")?;
        let domain = DomId::new(domain).map_err(|_| "not a domain id")?;
        Ok(Self {
            domain,
            port: Port(port),
        })
    }
}

/// A command and where its data goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// How it is to be started.
    pub mode: Mode,
    /// Where its data goes.
    pub route: Route,
    /// The command string without its NUL; see [`crate::command`].
    pub command: Vec<u8>,
}

impl Exec {
    /// The whole frame.
    pub fn encode(&self) -> Vec<u8> {
        frame(
            self.mode.kind(),
            &[&self.route.encode(), &self.command, &[0]],
        )
    }

    pub(crate) fn parse(mode: Mode, body: &[u8]) -> Result<Self, &'static str> {
        let route = Route::decode(body)?;
        let command = body[8..]
            .strip_suffix(&[0])
            .ok_or("the command does not end in NUL")?;
        if command.contains(&0) {
            return Err("a NUL stands inside the command");
        }
        Ok(Self {
            mode,
            route,
            command: command.to_vec(),
        })
    }
}

/// The answer to a request that was allowed: where its data goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceConnect {
    /// Where the data goes.
    pub route: Route,
    /// The request that is answered.
    pub ident: RequestId,
}

impl ServiceConnect {
    /// The whole frame, 40 bytes of body.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with_field(self.ident.field().len())
    }

    /// The whole frame with an id field of `len` bytes, but never so short that the id is cut.
    pub fn encode_with_field(&self, len: usize) -> Vec<u8> {
        let field = self.ident.field();
        let len = len.clamp(self.ident.as_str().len() + 1, field.len());
        frame(Kind::ServiceConnect, &[&self.route.encode(), &field[..len]])
    }

    pub(crate) fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let route = Route::decode(body)?;
        let ident = RequestId::parse(&body[8..]).ok_or("not a request id")?;
        Ok(Self { route, ident })
    }
}
