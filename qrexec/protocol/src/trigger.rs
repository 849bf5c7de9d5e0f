// SPDX-License-Identifier: MIT OR Apache-2.0
//! Triggers: a domain asks for a call.
//!
//! | version | body |
//! |---|---|
//! | 2 | service 64, target 32, request id 32: 128 bytes exactly |
//! | 3 | target 64, request id 32, service to the end with a closing NUL: 97 to 65 096 bytes |
//! | 4 | source 64, target 64, request id 32, service to the end: 161 to 65 160 bytes |
//!
//! Fields end with NUL. A source stands only where a relay speaks for a remote domain.

use bulkhead_types::Service;
use thiserror::Error;

use crate::frame::{Kind, frame};
use crate::limits::{IDENT_LEN, SERVICE_V2_LEN, TARGET_LEN, TARGET_V2_LEN};
use crate::sanitize;
use crate::version::Version;

/// Names one request of a domain: at most 31 characters of `A-Z a-z 0-9 _ - .` and space.
///
/// It may be empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(String);

/// The end of ids that are used once.
const UNIQUE: char = 'u';

impl RequestId {
    /// Reads an id from its field: characters, a NUL, and nothing but NULs after it. A field
    /// shorter than 32 bytes is taken if it ends with NUL.
    pub fn parse(field: &[u8]) -> Option<Self> {
        if field.len() > IDENT_LEN {
            return None;
        }
        let end = field.iter().position(|b| *b == 0)?;
        let (text, rest) = field.split_at(end);
        let legal = |b: &u8| b.is_ascii_alphanumeric() || b"_-. ".contains(b);
        let good = text.iter().all(legal) && rest.iter().all(|b| *b == 0);
        good.then(|| Self(text.iter().copied().map(char::from).collect()))
    }

    /// The id that an agent gives the request with this number, which it gives to no other.
    pub fn numbered(number: u64) -> Self {
        Self(format!("SOCKET{number}{UNIQUE}"))
    }

    /// Whether the agent has said that it never uses this id again in its session. Other agents' ids are the
    /// numbers of descriptors, which come back: what is said about such a request after its answer
    /// might hit another one.
    pub fn is_unique(&self) -> bool {
        self.0.starts_with("SOCKET") && self.0.ends_with(UNIQUE)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 32 bytes on the wire.
    pub fn field(&self) -> [u8; IDENT_LEN] {
        let mut field = [0; IDENT_LEN];
        field[..self.0.len()].copy_from_slice(self.0.as_bytes());
        field
    }
}

/// A trigger as it came in: lengths are right, contents are not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntrustedTrigger {
    source: [u8; TARGET_LEN],
    target: [u8; TARGET_LEN],
    ident: [u8; IDENT_LEN],
    service: Vec<u8>,
}

/// A trigger after its check: who is to do what, in sanitised words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRequest {
    /// For whom the domain claims to speak; empty means for itself.
    pub source: String,
    /// The target as asked for; it may be empty, and it may be a keyword.
    pub target: String,
    /// The service.
    pub service: Service,
    /// The id that the answer carries.
    pub ident: RequestId,
}

/// A trigger that can only be refused. The field is the id as received, to be sent back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}")]
pub struct BadTrigger {
    /// The request id's field, unchanged.
    pub ident: [u8; IDENT_LEN],
    /// What is wrong.
    pub what: &'static str,
}

/// A trigger does not fit into an older version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CannotConvert {
    /// Before version 4 nobody can speak for another domain.
    #[error("the domain's qrexec version {0} cannot carry a source")]
    Source(Version),
    /// The target is longer than 31 characters.
    #[error("the target is longer than the 31 characters of qrexec version 2")]
    Target,
    /// The service is longer than 63 characters.
    #[error("service and argument are longer than the 63 characters of qrexec version 2")]
    Service,
}

fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut field = [0; N];
    let len = bytes.len().min(N);
    field[..len].copy_from_slice(&bytes[..len]);
    field
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or_default()
}

impl UntrustedTrigger {
    /// A trigger of our own, for [`Self::encode`].
    ///
    /// `source` and `target` are cut at 63 bytes; whoever makes a call checks that before.
    pub fn new(source: &str, target: &str, ident: &RequestId, service: &str) -> Self {
        let field = |text: &str| padded(&text.as_bytes()[..text.len().min(TARGET_LEN - 1)]);
        Self {
            source: field(source),
            target: field(target),
            ident: ident.field(),
            service: [service.as_bytes(), &[0]].concat(),
        }
    }

    /// The lengths that the body may have.
    pub(crate) fn bounds(kind: Kind) -> std::ops::RangeInclusive<usize> {
        use crate::limits::SERVICE_FIELD_MAX as MAX;
        match kind {
            Kind::TriggerV2 => 128..=128,
            Kind::TriggerV3 => 97..=96 + MAX,
            _ => 161..=160 + MAX,
        }
    }

    /// Takes a body apart whose length is within [`Self::bounds`].
    pub(crate) fn parse(kind: Kind, body: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "shorter than its fields";
        let mut rest = body;
        let mut take = |len| rest.split_off(..len).ok_or(SHORT);
        if kind == Kind::TriggerV2 {
            let service = take(SERVICE_V2_LEN)?;
            let target = take(TARGET_V2_LEN)?;
            let ident = padded(take(IDENT_LEN)?);
            // The last byte of each text field counts as its NUL.
            let target = padded(&target[..TARGET_V2_LEN - 1]);
            let name = until_nul(&service[..SERVICE_V2_LEN - 1]);
            let service = [name, &[0]].concat();
            return Ok(Self {
                source: [0; TARGET_LEN],
                target,
                ident,
                service,
            });
        }
        let source = if kind == Kind::TriggerV4 {
            padded(take(TARGET_LEN)?)
        } else {
            [0; TARGET_LEN]
        };
        let target = padded(take(TARGET_LEN)?);
        let ident = padded(take(IDENT_LEN)?);
        Ok(Self {
            source,
            target,
            ident,
            service: rest.to_vec(),
        })
    }

    /// Whether service and argument are longer than any agent takes.
    pub fn is_too_long(&self) -> bool {
        self.service.len() > crate::limits::SERVICE_FIELD_MAX
    }

    /// Gives the trigger another id, as an agent does before it passes it on.
    pub fn set_ident(&mut self, ident: &RequestId) {
        self.ident = ident.field();
    }

    /// The whole frame, in the form of `version`.
    pub fn encode(&self, version: Version) -> Result<Vec<u8>, CannotConvert> {
        let Self {
            source,
            target,
            ident,
            service,
        } = self;
        if version < Version::V4 && source[0] != 0 {
            return Err(CannotConvert::Source(version));
        }
        match version {
            Version::V4 => Ok(frame(Kind::TriggerV4, &[source, target, ident, service])),
            Version::V3 => Ok(frame(Kind::TriggerV3, &[target, ident, service])),
            Version::V2 => {
                let target = until_nul(target);
                let service = service.strip_suffix(&[0]).unwrap_or(service);
                if target.len() >= TARGET_V2_LEN {
                    return Err(CannotConvert::Target);
                }
                if service.len() >= SERVICE_V2_LEN {
                    return Err(CannotConvert::Service);
                }
                let service: [u8; SERVICE_V2_LEN] = padded(service);
                let target: [u8; TARGET_V2_LEN] = padded(target);
                Ok(frame(Kind::TriggerV2, &[&service, &target, ident]))
            }
        }
    }

    /// Checks and sanitises the trigger. This is the one place where that happens.
    ///
    /// Refused: an id that is not one, a service without closing NUL or with a NUL inside, an
    /// empty service name, one longer than 255 bytes.
    pub fn check(&self) -> Result<CallRequest, BadTrigger> {
        let bad = |what| BadTrigger {
            ident: self.ident,
            what,
        };
        let ident = RequestId::parse(&self.ident).ok_or(bad("the request id is malformed"))?;
        let text = self.service.strip_suffix(&[0]);
        let text = text.ok_or(bad("the service name does not end in NUL"))?;
        if text.contains(&0) {
            return Err(bad("a NUL stands inside the service name"));
        }
        let service = Service::parse(&sanitize::service_text(text));
        let service = service.map_err(|_| bad("the service name is empty or too long"))?;
        Ok(CallRequest {
            source: sanitize::target_text(&self.source[..TARGET_LEN - 1]),
            target: sanitize::target_text(&self.target[..TARGET_LEN - 1]),
            service,
            ident,
        })
    }

    /// The service as a person may see it in a message.
    pub fn shown_service(&self) -> String {
        sanitize::for_log(until_nul(&self.service), 80)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trigger(source: &str, target: &str, service: &str) -> UntrustedTrigger {
        UntrustedTrigger::new(source, target, &RequestId::numbered(7), service)
    }

    fn again(frame: &[u8]) -> UntrustedTrigger {
        let kind = u32::from_le_bytes(frame[..4].try_into().unwrap());
        UntrustedTrigger::parse(Kind::from_number(kind).unwrap(), &frame[8..]).unwrap()
    }

    #[test]
    fn each_version_carries_the_same_request() {
        let original = trigger("", "@dispvm:disp", "qubes.VMExec+ls");
        for version in [Version::V2, Version::V3, Version::V4] {
            let frame = original.encode(version).unwrap();
            assert_eq!(again(&frame), original, "{version}");
        }
        assert_eq!(original.encode(Version::V2).unwrap().len(), 8 + 128);
        assert_eq!(original.encode(Version::V3).unwrap().len(), 8 + 96 + 16);
        assert_eq!(original.encode(Version::V4).unwrap().len(), 8 + 160 + 16);
    }

    #[test]
    fn what_an_older_version_cannot_carry_is_said() {
        use CannotConvert as E;
        let result = |t: UntrustedTrigger, version| t.encode(version).unwrap_err();
        assert_eq!(
            result(trigger("remote", "b", "s"), Version::V3),
            E::Source(Version::V3)
        );
        assert_eq!(
            result(trigger("", &"t".repeat(32), "s"), Version::V2),
            E::Target
        );
        assert_eq!(
            result(trigger("", "b", &"s".repeat(64)), Version::V2),
            E::Service
        );
        assert!(
            trigger("", "b", &"s".repeat(63))
                .encode(Version::V2)
                .is_ok()
        );
    }

    #[test]
    fn what_a_domain_wrote_is_sanitised_or_refused() {
        let request = trigger("", "wo$rk", "a b+`id`").check().unwrap();
        assert_eq!(
            (request.target.as_str(), request.service.to_string()),
            ("wo_rk", "a_b+_id_".into())
        );
        for bad in ["", "+", "+a", "a\0b", "a\0", "\0"] {
            assert!(trigger("", "work", bad).check().is_err(), "{bad:?}");
        }
        assert!(trigger("", "work", &"n".repeat(256)).check().is_err());
        let open = UntrustedTrigger {
            service: b"a".to_vec(),
            ..trigger("", "work", "a")
        };
        assert_eq!(
            open.check().unwrap_err().what,
            "the service name does not end in NUL"
        );
    }

    #[test]
    fn a_refusal_carries_the_id_as_it_came() {
        for bad in [&b"\x01\x02\x03"[..], b"a\0b", b"a/b", &[b'a'; 32]] {
            let ident = padded(bad);
            let request = UntrustedTrigger {
                ident,
                ..trigger("", "work", "a")
            };
            assert_eq!(request.check().unwrap_err().ident, ident);
        }
    }
}
