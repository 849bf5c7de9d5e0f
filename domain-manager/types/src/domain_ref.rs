// SPDX-License-Identifier: MIT OR Apache-2.0
//! A domain by its name or its UUID.

use std::fmt;

use thiserror::Error;

use crate::{DomainName, DomainUuid};

/// A domain by one of its two spellings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DomainRef {
    /// By name.
    Name(DomainName),
    /// By UUID, written `uuid:…`.
    Uuid(DomainUuid),
}

/// A text that names no domain and never could.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{}` cannot name a domain", .0.escape_debug())]
pub struct InvalidDomain(pub String);

impl DomainRef {
    /// Reads `NAME`, `uuid:UUID` or, for dom0, `@adminvm`.
    pub fn parse(text: &str) -> Result<Self, InvalidDomain> {
        let parsed = match text.strip_prefix("uuid:") {
            _ if text == "@adminvm" => Some(Self::Name(DomainName::dom0())),
            Some(DomainUuid::DOM0) => Some(Self::Name(DomainName::dom0())),
            Some(uuid) => DomainUuid::parse(uuid).ok().map(Self::Uuid),
            None => DomainName::parse(text).ok().map(Self::Name),
        };
        parsed.ok_or_else(|| InvalidDomain(text.to_owned()))
    }

    /// Whether this is dom0.
    #[inline]
    pub fn is_dom0(&self) -> bool {
        match self {
            Self::Name(name) => name.is_dom0(),
            Self::Uuid(uuid) => uuid.as_str() == DomainUuid::DOM0,
        }
    }
}

impl fmt::Display for DomainRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Uuid(uuid) => write!(f, "uuid:{uuid}"),
        }
    }
}
