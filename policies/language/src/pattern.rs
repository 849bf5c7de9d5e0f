// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fields of a rule: what they may say and how that is written.

use std::fmt;

use bulkhead_policy_system::Domain;
use bulkhead_types::{DomainName, DomainUuid};

/// The service field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServicePattern {
    /// `*`: every service.
    Any,
    /// Exactly this one.
    Named(Box<str>),
}

/// The argument field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ArgumentPattern {
    /// `*`: every argument, and none.
    Any,
    /// Exactly this one, with its `+`; `+` alone is the call without argument.
    Exactly(Box<str>),
}

/// A domain as policy names it. Neither spelling nor existence is checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DomainPattern {
    /// By name.
    Name(Box<str>),
    /// `uuid:…`, kept without the prefix.
    Uuid(Box<str>),
}

impl DomainPattern {
    pub(crate) fn parse(text: &str) -> Self {
        match text.strip_prefix("uuid:") {
            Some(uuid) => Self::Uuid(uuid.into()),
            None => Self::Name(text.into()),
        }
    }

    /// Whether this is one of dom0's spellings.
    pub(crate) fn is_dom0(&self) -> bool {
        match self {
            Self::Name(name) => **name == *DomainName::DOM0,
            Self::Uuid(uuid) => **uuid == *DomainUuid::DOM0,
        }
    }

    /// Whether it means a domain that exists.
    pub fn is(&self, domain: &Domain) -> bool {
        match self {
            Self::Name(name) => domain.name.as_str() == &**name,
            Self::Uuid(uuid) => domain.uuid.as_ref().is_some_and(|u| u.as_str() == &**uuid),
        }
    }

    /// Why no domain can ever be meant, if so.
    pub(crate) fn impossible(&self) -> Option<String> {
        match self {
            Self::Name(name) => DomainName::parse(name).err().map(|e| e.to_string()),
            Self::Uuid(uuid) => DomainUuid::parse(uuid).err().map(|e| e.to_string()),
        }
    }
}

/// The source and the target field. Dom0's three spellings are all [`Pattern::AdminVm`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// `*`: anything, dom0 included.
    Any,
    /// `@anyvm`: anything but dom0.
    AnyVm,
    /// `@adminvm`, `dom0`: dom0.
    AdminVm,
    /// `@default`: a call that names no target. Target field only.
    Default,
    /// One domain.
    Domain(DomainPattern),
    /// `@tag:…`: a domain with the tag.
    Tag(Box<str>),
    /// `@type:…`: a domain of the class.
    Type(Box<str>),
    /// `@dispvm`: a new disposable of the source's own default. Target field only.
    DispVm,
    /// `@dispvm:…`: a new disposable of this template. Never matches a source.
    DispVmOf(DomainPattern),
    /// `@dispvm:@tag:…`: a new disposable of a template with the tag. Never matches a source.
    DispVmTag(Box<str>),
}

/// What `target=` and `default_target=` may say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Redirect {
    /// `@adminvm`, `dom0`.
    AdminVm,
    /// One domain.
    Domain(DomainPattern),
    /// `@dispvm`.
    DispVm,
    /// `@dispvm:…`.
    DispVmOf(DomainPattern),
}

impl fmt::Display for ServicePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "*",
            Self::Named(name) => name,
        })
    }
}

impl fmt::Display for ArgumentPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "*",
            Self::Exactly(argument) => argument,
        })
    }
}

impl fmt::Display for DomainPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Uuid(uuid) => write!(f, "uuid:{uuid}"),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::AnyVm => f.write_str("@anyvm"),
            Self::AdminVm => f.write_str("@adminvm"),
            Self::Default => f.write_str("@default"),
            Self::Domain(domain) => domain.fmt(f),
            Self::Tag(tag) => write!(f, "@tag:{tag}"),
            Self::Type(class) => write!(f, "@type:{class}"),
            Self::DispVm => f.write_str("@dispvm"),
            Self::DispVmOf(template) => write!(f, "@dispvm:{template}"),
            Self::DispVmTag(tag) => write!(f, "@dispvm:@tag:{tag}"),
        }
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AdminVm => f.write_str("@adminvm"),
            Self::Domain(domain) => domain.fmt(f),
            Self::DispVm => f.write_str("@dispvm"),
            Self::DispVmOf(template) => write!(f, "@dispvm:{template}"),
        }
    }
}
