// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user can choose: where a call goes.

use std::fmt;
use std::str::FromStr;

use bulkhead_types::{DomainName, InvalidDomainName};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What stands before the template of a new disposable.
const DISPOSABLE: &str = "@dispvm:";

/// A target that the user can choose.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Choice {
    /// A domain, which can be dom0.
    Domain(DomainName),
    /// A new disposable of this template.
    Disposable(DomainName),
}

/// A text that is no choice.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a choice is a domain's name or `@dispvm:NAME`")]
pub struct InvalidChoice(#[source] InvalidDomainName);

impl Choice {
    /// The domain itself, or the template of the disposable.
    pub fn domain(&self) -> &DomainName {
        match self {
            Self::Domain(name) | Self::Disposable(name) => name,
        }
    }

    /// Whether a new disposable is started for the call.
    pub fn is_disposable(&self) -> bool {
        matches!(self, Self::Disposable(_))
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => name.fmt(f),
            Self::Disposable(name) => write!(f, "{DISPOSABLE}{name}"),
        }
    }
}

impl FromStr for Choice {
    type Err = InvalidChoice;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = |text| DomainName::parse(text).map_err(InvalidChoice);
        Ok(match text.strip_prefix(DISPOSABLE) {
            Some(template) => Self::Disposable(name(template)?),
            None => Self::Domain(name(text)?),
        })
    }
}

impl TryFrom<String> for Choice {
    type Error = InvalidChoice;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Choice> for String {
    fn from(choice: Choice) -> Self {
        choice.to_string()
    }
}
