// SPDX-License-Identifier: GPL-3.0-or-later
//! What services do, in words.
//!
//! A description is a table of a TOML file, under the service's name:
//!
//! ```toml
//! ["qubes.Filecopy"]
//! does = "copy files"
//! means = "The target receives them in a folder with the source's name."
//! argument = "Name"
//! ```
//!
//! `does` completes the sentence "`work` wants to …"; `means` says what the target lets happen;
//! `argument` says what the argument is. The last two may be missing. Bulkhead's own are in
//! `services.toml`; those in `/etc/bulkhead/services.d/*.toml` come after them, in the order of
//! the files' names, and a later description of a service is in place of an earlier one.

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use crate::text;

/// What Bulkhead describes itself.
const SHIPPED: &str = include_str!("services.toml");

/// What a service does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Completes "SOURCE wants to …".
    pub does: String,
    /// What agreeing brings about.
    #[serde(default)]
    pub means: String,
    /// What the argument is.
    #[serde(default = "argument")]
    pub argument: String,
}

fn argument() -> String {
    "Argument".to_owned()
}

/// A file of descriptions that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}: these are no descriptions of services")]
pub struct BadDescriptions {
    file: String,
    #[source]
    error: toml::de::Error,
}

/// The services that are described.
#[derive(Clone, Debug)]
pub struct Services(BTreeMap<String, Description>);

impl Services {
    /// Those that Bulkhead ships.
    pub fn shipped() -> Self {
        let mut services = Self(BTreeMap::new());
        services
            .extend("services.toml", SHIPPED)
            .expect("a test reads what is shipped");
        services
    }

    /// Adds the text of a file. A file that cannot be read adds nothing.
    ///
    /// # Errors
    ///
    /// It is not TOML, or says something else than descriptions.
    pub fn extend(&mut self, file: &str, text: &str) -> Result<(), BadDescriptions> {
        let read = toml::from_str::<BTreeMap<String, Description>>(text);
        let described = read.map_err(|error| BadDescriptions {
            file: file.to_owned(),
            error,
        })?;
        self.0.extend(described);
        Ok(())
    }

    /// What a service does. That of one nobody has described is said to be unknown.
    pub fn describe(&self, service: &str) -> Description {
        let known = self.0.get(service).cloned();
        let Description {
            does,
            means,
            argument,
        } = known.unwrap_or_else(|| Description {
            does: "call an unknown service".to_owned(),
            means: "Agree only if you know what this service does in the target.".to_owned(),
            argument: argument(),
        });
        Description {
            does: text::shown(&does, text::OTHER),
            means: text::shown(&means, 2 * text::OTHER),
            argument: text::shown(&argument, 24),
        }
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shipped_can_be_read_and_is_shown_whole() {
        let services = Services::shipped();
        assert!(services.names().count() >= 12);
        for name in services.names() {
            let told = services.describe(name);
            assert_eq!(told, services.0[name], "{name} is cut or escaped");
            assert!(
                !told.does.ends_with('.') && told.means.ends_with('.'),
                "{name}"
            );
        }
    }

    #[test]
    fn an_administrator_describes_own_services_and_shipped_ones_anew() {
        let mut services = Services::shipped();
        let own =
            "[\"corp.Sign\"]\ndoes = \"sign a release\"\n[\"qubes.GetDate\"]\ndoes = \"ask\"\n";
        services.extend("50-corp.toml", own).unwrap();
        assert_eq!(services.describe("corp.Sign").does, "sign a release");
        assert_eq!(services.describe("corp.Sign").argument, "Argument");
        assert_eq!(services.describe("qubes.GetDate").does, "ask");
        let unknown = services.describe("corp.Other");
        assert_eq!(unknown.does, "call an unknown service");
    }

    #[test]
    fn a_file_with_a_mistake_adds_nothing_and_is_named() {
        let mut services = Services::shipped();
        let bad = "[\"corp.Sign\"]\ndoes = \"sign\"\nmens = \"x\"\n";
        let error = services.extend("50-corp.toml", bad).unwrap_err();
        assert_eq!(
            error.to_string(),
            "50-corp.toml: these are no descriptions of services"
        );
        insta::assert_snapshot!(std::error::Error::source(&error).unwrap());
        assert!(!services.names().any(|name| name == "corp.Sign"));
    }
}
