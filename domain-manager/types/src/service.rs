// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a call asks for: a service, with or without an argument.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The longest service name, in bytes (specification of qrexec, 1.4).
pub const SERVICE_NAME_MAX: usize = 255;
/// The longest `name+argument`, in bytes (specification of qrexec, 1.4).
pub const SERVICE_DESCRIPTOR_MAX: usize = 65000;

/// The name of a service, such as `qubes.OpenInVM`: what stands before the `+`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName(String);

/// The argument of a service: what stands after the `+`; it may be empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ServiceArgument(String);

/// A service with its argument: `NAME` or `NAME+ARGUMENT`.
///
/// A missing argument and an empty one are different texts (`NAME` and `NAME+`) that
/// policy treats alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Service {
    name: ServiceName,
    argument: Option<ServiceArgument>,
}

/// A text that cannot name a service.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidService {
    /// Nothing stands before the `+`.
    #[error("a service name cannot be empty")]
    Empty,
    /// The name alone, or name and argument together, are too long.
    #[error("the service text has {length} bytes; the limit is {limit}")]
    TooLong {
        /// Bytes that the text has.
        length: usize,
        /// Bytes that it may have.
        limit: usize,
    },
    /// A character outside the alphabet.
    #[error("a service is written with letters, digits, `_`, `-` and `.`, not {0:?}")]
    BadCharacter(char),
}

fn check_alphabet(text: &str, plus: bool) -> Result<(), InvalidService> {
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') || (plus && c == '+');
    match text.chars().find(|c| !allowed(*c)) {
        Some(bad) => Err(InvalidService::BadCharacter(bad)),
        None => Ok(()),
    }
}

impl ServiceName {
    /// Checks a text and makes it a service name.
    pub fn parse(text: &str) -> Result<Self, InvalidService> {
        if text.is_empty() {
            return Err(InvalidService::Empty);
        }
        if text.len() > SERVICE_NAME_MAX {
            return Err(InvalidService::TooLong {
                length: text.len(),
                limit: SERVICE_NAME_MAX,
            });
        }
        check_alphabet(text, false)?;
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl ServiceArgument {
    /// Checks a text and makes it an argument. A `+` may stand inside.
    pub fn parse(text: &str) -> Result<Self, InvalidService> {
        if text.len() > SERVICE_DESCRIPTOR_MAX {
            return Err(InvalidService::TooLong {
                length: text.len(),
                limit: SERVICE_DESCRIPTOR_MAX,
            });
        }
        check_alphabet(text, true)?;
        Ok(Self(text.to_owned()))
    }

    /// The argument as text, without the leading `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Service {
    /// Splits a text at its first `+` and checks both parts.
    pub fn parse(text: &str) -> Result<Self, InvalidService> {
        if text.len() > SERVICE_DESCRIPTOR_MAX {
            return Err(InvalidService::TooLong {
                length: text.len(),
                limit: SERVICE_DESCRIPTOR_MAX,
            });
        }
        let (name, argument) = match text.split_once('+') {
            Some((name, argument)) => (name, Some(ServiceArgument::parse(argument)?)),
            None => (text, None),
        };
        Ok(Self {
            name: ServiceName::parse(name)?,
            argument,
        })
    }

    /// The name before the `+`.
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// The argument after the `+`, if there is a `+`.
    pub fn argument(&self) -> Option<&ServiceArgument> {
        self.argument.as_ref()
    }

    /// The argument as policy sees it: `+` and the argument, or just `+`.
    pub fn policy_argument(&self) -> String {
        format!(
            "+{}",
            self.argument.as_ref().map_or("", ServiceArgument::as_str)
        )
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for ServiceArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.argument {
            Some(argument) => write!(f, "{}+{argument}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

impl FromStr for ServiceName {
    type Err = InvalidService;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl FromStr for Service {
    type Err = InvalidService;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// The number that tells vchans between the same two domains apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port(pub u32);

impl Port {
    /// The control channel between a domain's qrexec daemon and its agent.
    pub const QREXEC: Self = Self(512);
    /// The channel between a domain's GUI daemon and its agent.
    pub const GUI: Self = Self(6000);
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_splits_at_its_first_plus() {
        let service = Service::parse("qubes.VMExec+ls+-l").unwrap();
        assert_eq!(service.name().as_str(), "qubes.VMExec");
        assert_eq!(service.argument().unwrap().as_str(), "ls+-l");
        assert_eq!(service.to_string(), "qubes.VMExec+ls+-l");
        assert_eq!(Service::parse("a").unwrap().policy_argument(), "+");
        assert_ne!(Service::parse("a").unwrap(), Service::parse("a+").unwrap());
    }

    #[test]
    fn nothing_a_shell_would_read_gets_into_a_service() {
        for bad in ["", "+a", "a b", "a$b", "a/b", "a\0", "a+b c", "a+\"", "ä"] {
            assert!(Service::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn limits_hold_at_the_byte() {
        assert!(ServiceName::parse(&"a".repeat(255)).is_ok());
        assert!(ServiceName::parse(&"a".repeat(256)).is_err());
        let longest = format!("a+{}", "b".repeat(SERVICE_DESCRIPTOR_MAX - 2));
        assert!(Service::parse(&longest).is_ok());
        assert!(Service::parse(&format!("{longest}b")).is_err());
    }
}
