// SPDX-License-Identifier: MIT OR Apache-2.0
//! A request, from text to checked value and back.

use std::fmt;

use bulkhead_types::{DomainName, DomainUuid, Service};
use thiserror::Error;

/// The most bytes that header and payload may have together.
pub const REQUEST_MAX: usize = 65536;

/// Whom a request comes from or is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A domain by its name; `dom0` is the system as a whole.
    Name(DomainName),
    /// A domain by its UUID, written `uuid:…`.
    Uuid(DomainUuid),
}

impl Destination {
    /// The administrative domain.
    pub fn dom0() -> Self {
        Self::Name(DomainName::dom0())
    }

    /// Whether this is the administrative domain, under either of its names.
    pub fn is_dom0(&self) -> bool {
        match self {
            Self::Name(name) => name.is_dom0(),
            Self::Uuid(uuid) => uuid.as_str() == DomainUuid::DOM0,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("uuid:") {
            Some(uuid) => DomainUuid::parse(uuid).ok().map(Self::Uuid),
            None => DomainName::parse(text).ok().map(Self::Name),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Uuid(uuid) => write!(f, "uuid:{uuid}"),
        }
    }
}

/// One call of the Admin API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method with its argument, such as `admin.vm.property.Get+label`.
    pub method: Service,
    /// The domain that asks.
    pub source: Destination,
    /// The domain that is asked about.
    pub destination: Destination,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// Bytes that are not a request. Such a connection is dropped without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadRequest {
    /// Header and payload are longer than [`REQUEST_MAX`].
    #[error("the request has {0} bytes; the limit is {REQUEST_MAX}")]
    TooLong(usize),
    /// No NUL byte ends the header.
    #[error("the request's header has no end")]
    NoHeader,
    /// The header does not have its four parts, or one of them is misspelt.
    #[error("the request's header is malformed")]
    Malformed,
}

impl Request {
    /// A request of dom0 itself.
    pub fn from_dom0(method: Service, destination: Destination, payload: Vec<u8>) -> Self {
        Self {
            method,
            source: Destination::dom0(),
            destination,
            payload,
        }
    }

    /// Reads a whole request: everything up to the moment the caller closed its side.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRequest> {
        if bytes.len() > REQUEST_MAX {
            return Err(BadRequest::TooLong(bytes.len()));
        }
        let end = bytes
            .iter()
            .position(|b| *b == 0)
            .ok_or(BadRequest::NoHeader)?;
        let header = std::str::from_utf8(&bytes[..end]).map_err(|_| BadRequest::Malformed)?;
        let parts: Vec<&str> = header.split(' ').collect();
        let [method, source, kind, destination] = parts[..] else {
            return Err(BadRequest::Malformed);
        };
        let destination = match (kind, destination) {
            ("keyword", "adminvm") => Some(Destination::dom0()),
            ("name", name) => Destination::parse(name),
            _ => None,
        };
        Ok(Self {
            method: Service::parse(method).map_err(|_| BadRequest::Malformed)?,
            source: Destination::parse(source).ok_or(BadRequest::Malformed)?,
            destination: destination.ok_or(BadRequest::Malformed)?,
            payload: bytes[end + 1..].to_vec(),
        })
    }

    /// The bytes to send; the writing side has to be closed after them.
    pub fn encode(&self) -> Vec<u8> {
        let Self {
            method,
            source,
            destination,
            payload,
        } = self;
        let mut bytes = format!("{method} {source} name {destination}\0").into_bytes();
        bytes.extend_from_slice(payload);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_header_of_a_socket_service() {
        let bytes = b"admin.vm.property.Set+label dom0 name work\0blue";
        let request = Request::decode(bytes).unwrap();
        assert_eq!(request.method.to_string(), "admin.vm.property.Set+label");
        assert_eq!(
            request.destination,
            Destination::Name("work".parse().unwrap())
        );
        assert_eq!(request.payload, b"blue");
        assert_eq!(request.encode(), bytes);
    }

    #[test]
    fn the_keyword_adminvm_means_dom0() {
        let request = Request::decode(b"admin.vm.List work keyword adminvm\0").unwrap();
        assert_eq!(request.destination, Destination::dom0());
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            &b"admin.vm.List dom0 name dom0"[..],
            b"admin.vm.List dom0 name\0",
            b"admin.vm.List dom0 name dom0 more\0",
            b"admin.vm.List  dom0 name dom0\0",
            b"admin.vm.List dom0 keyword dispvm\0",
            b"admin.vm.List dom0 uuid dom0\0",
            b"admin vm dom0 name dom0\0",
            b"\0",
        ] {
            assert!(Request::decode(bad).is_err(), "{}", bad.escape_ascii());
        }
        assert_eq!(
            Request::decode(&[b'a'; REQUEST_MAX + 1]),
            Err(BadRequest::TooLong(REQUEST_MAX + 1))
        );
    }
}
