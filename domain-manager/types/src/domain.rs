// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a domain is named: by its name, its number in Xen, and its UUID.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest domain name, in bytes (specification of the domain manager, 1.5).
const NAME_MAX: usize = 31;
/// Names that mean something else to a tool stack or a tool.
const RESERVED: [&str; 3] = ["Domain-0", "none", "default"];

/// The name of a domain, such as `work`.
///
/// One to 31 characters: an ASCII letter, then letters, digits, `_`, `.` and `-`.
/// `Domain-0`, `none` and `default` are reserved, and so is the ending `-dm`, which
/// belongs to device-model domains.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainName(String);

/// A text that cannot name a domain.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidDomainName {
    /// The text is empty.
    #[error("a domain name cannot be empty")]
    Empty,
    /// The text is longer than 31 characters.
    #[error("the domain name is {0} characters long; the limit is {NAME_MAX}")]
    TooLong(usize),
    /// The first character is not a letter.
    #[error("a domain name starts with a letter, not with {0:?}")]
    BadStart(char),
    /// A character outside the alphabet.
    #[error("a domain name holds letters, digits, `_`, `.` and `-`, not {0:?}")]
    BadCharacter(char),
    /// The name is taken by the tool stack.
    #[error("the name `{0}` is reserved")]
    Reserved(String),
}

impl DomainName {
    /// The name under which every part knows the administrative domain.
    pub const DOM0: &'static str = "dom0";

    /// Checks a text and makes it a domain name.
    pub fn parse(text: &str) -> Result<Self, InvalidDomainName> {
        let first = text.chars().next().ok_or(InvalidDomainName::Empty)?;
        let length = text.chars().count();
        if length > NAME_MAX {
            return Err(InvalidDomainName::TooLong(length));
        }
        if !first.is_ascii_alphabetic() {
            return Err(InvalidDomainName::BadStart(first));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if let Some(bad) = text.chars().find(|c| !allowed(*c)) {
            return Err(InvalidDomainName::BadCharacter(bad));
        }
        if RESERVED.contains(&text) || text.ends_with("-dm") {
            return Err(InvalidDomainName::Reserved(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The administrative domain's name.
    pub fn dom0() -> Self {
        Self(Self::DOM0.to_owned())
    }

    /// Whether this is the administrative domain.
    pub fn is_dom0(&self) -> bool {
        self.0 == Self::DOM0
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for DomainName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for DomainName {
    type Err = InvalidDomainName;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for DomainName {
    type Error = InvalidDomainName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> Self {
        name.0
    }
}

/// The number Xen knows a running domain by; 0 is the administrative domain.
///
/// At most 0x7fef: what lies above has a special meaning (`xen.h`, `DOMID_FIRST_RESERVED`).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(try_from = "u32", into = "u32")]
pub struct DomId(u16);

/// A number outside the range of domain ids.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is not a domain id (0 to {max})", max = DomId::MAX)]
pub struct InvalidDomId(String);

impl DomId {
    /// The administrative domain.
    pub const DOM0: Self = Self(0);
    /// The highest id of a real domain.
    pub const MAX: u32 = 0x7fef;

    /// Checks a number and makes it a domain id.
    pub fn new(number: u32) -> Result<Self, InvalidDomId> {
        match u16::try_from(number) {
            Ok(id) if number <= Self::MAX => Ok(Self(id)),
            _ => Err(InvalidDomId(number.to_string())),
        }
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Display for DomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DomId {
    type Err = InvalidDomId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse::<u32>().ok().filter(|_| digits);
        number
            .and_then(|n| Self::new(n).ok())
            .ok_or_else(|| InvalidDomId(text.to_owned()))
    }
}

impl TryFrom<u32> for DomId {
    type Error = InvalidDomId;
    fn try_from(number: u32) -> Result<Self, Self::Error> {
        Self::new(number)
    }
}

impl From<DomId> for u32 {
    fn from(id: DomId) -> Self {
        u32::from(id.0)
    }
}

/// The UUID of a domain: it stays when the name changes and is never used again.
///
/// Written in 36 lower-case characters; dom0's is all zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DomainUuid(String);

/// A text that is not a UUID in its lower-case form of 36 characters.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a UUID has 36 characters, like 00000000-0000-0000-0000-000000000000")]
pub struct InvalidUuid;

impl DomainUuid {
    /// The administrative domain's UUID, also its text form.
    pub const DOM0: &'static str = "00000000-0000-0000-0000-000000000000";

    /// Checks a text and makes it a UUID.
    pub fn parse(text: &str) -> Result<Self, InvalidUuid> {
        let dash = |i: usize| matches!(i, 8 | 13 | 18 | 23);
        let well_formed = text.len() == Self::DOM0.len()
            && text.bytes().enumerate().all(|(i, b)| match b {
                b'-' => dash(i),
                b'0'..=b'9' | b'a'..=b'f' => !dash(i),
                _ => false,
            });
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidUuid)
        }
    }

    /// The administrative domain's UUID.
    pub fn dom0() -> Self {
        Self(Self::DOM0.to_owned())
    }

    /// The UUID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for DomainUuid {
    type Err = InvalidUuid;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for DomainUuid {
    type Error = InvalidUuid;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<DomainUuid> for String {
    fn from(uuid: DomainUuid) -> Self {
        uuid.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_refused_with_its_reason() {
        use InvalidDomainName as E;
        let reason = |text: &str| DomainName::parse(text).unwrap_err();
        assert_eq!(reason(""), E::Empty);
        assert_eq!(reason("1work"), E::BadStart('1'));
        assert_eq!(reason("wörk"), E::BadCharacter('ö'));
        assert_eq!(reason("a b"), E::BadCharacter(' '));
        assert_eq!(reason("a\n"), E::BadCharacter('\n'));
        assert_eq!(reason("none"), E::Reserved("none".into()));
        assert_eq!(reason("work-dm"), E::Reserved("work-dm".into()));
        assert_eq!(reason(&"a".repeat(32)), E::TooLong(32));
        assert!(DomainName::parse(&"a".repeat(31)).is_ok());
    }

    #[test]
    fn domain_ids_end_where_xen_reserves_them() {
        assert!(DomId::new(0x7fef).is_ok());
        assert!(DomId::new(0x7ff0).is_err());
        assert!("+5".parse::<DomId>().is_err());
        assert!("".parse::<DomId>().is_err());
        assert_eq!("42".parse::<DomId>().unwrap().get(), 42);
    }

    #[test]
    fn uuids_are_lower_case_and_dashed() {
        assert!(DomainUuid::parse("c0ffee00-1234-4abc-8def-0123456789ab").is_ok());
        assert!(DomainUuid::parse("C0FFEE00-1234-4abc-8def-0123456789ab").is_err());
        assert!(DomainUuid::parse("c0ffee00012344abc-8def-0123456789ab00").is_err());
    }
}
