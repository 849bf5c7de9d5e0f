// SPDX-License-Identifier: GPL-3.0-or-later
//! One quota as it is configured: which calls it counts, and what they may come to.

use bulkhead_policy::Domain;
use serde::{Deserialize, Serialize};

/// One quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Whose calls: a name, `@tag:TAG`, `@type:CLASS` or `*`.
    pub source: String,
    /// Calls of what: a service without an argument, or `*`.
    pub service: String,
    /// Whether it is about calls that start a new disposable alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disposables: bool,
    /// How many calls in a minute, in the long run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// How many calls at once after a rest; without it, those of a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// How many calls under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
}

impl Quota {
    /// What holds where nothing is configured: new disposables are dear, other calls are not.
    pub fn defaults() -> Vec<Self> {
        let any = Self {
            source: "*".into(),
            service: "*".into(),
            disposables: false,
            per_minute: None,
            burst: None,
            at_once: None,
        };
        vec![
            Self {
                disposables: true,
                per_minute: Some(60),
                burst: Some(30),
                at_once: Some(20),
                ..any.clone()
            },
            Self {
                at_once: Some(1024),
                ..any
            },
        ]
    }

    /// What is wrong with it, if something is.
    pub fn problem(&self) -> Option<String> {
        let word = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        let source = self.source.as_str();
        let prefixed = source
            .strip_prefix("@tag:")
            .or_else(|| source.strip_prefix("@type:"));
        if source != "*" && !word(prefixed.unwrap_or(source)) {
            return Some(format!(
                "`{source}` is no source; write a name, @tag:TAG, @type:CLASS or *"
            ));
        }
        if self.service != "*" && !word(&self.service) {
            let service = &self.service;
            return Some(format!(
                "`{service}` is no service without an argument, and not *"
            ));
        }
        if self.per_minute.is_none() && self.at_once.is_none() {
            return Some("it limits nothing; give `per_minute`, `at_once` or both".into());
        }
        if self.burst.is_some() && self.per_minute.is_none() {
            return Some("`burst` goes with `per_minute`".into());
        }
        None
    }

    /// Its name among quotas: what it is about.
    pub fn name(&self) -> String {
        let more = if self.disposables { " disposables" } else { "" };
        format!("{} {}{more}", self.source, self.service)
    }

    /// Whether it counts every call that another would count, so that the other has to come first.
    pub fn takes_all_of(&self, other: &Self) -> bool {
        let source = self.source == "*" || self.source == other.source;
        let service = self.service == "*" || self.service == other.service;
        source && service && (!self.disposables || other.disposables)
    }

    /// Whether it counts a call.
    pub(super) fn fits(&self, source: &Domain, service: &str, disposable: bool) -> bool {
        let wanted = self.source.as_str();
        let source_fits = match wanted.strip_prefix("@tag:") {
            Some(tag) => source.tags.iter().any(|own| own == tag),
            None => match wanted.strip_prefix("@type:") {
                Some(class) => source.class == class,
                None => wanted == "*" || wanted == source.name.as_str(),
            },
        };
        source_fits
            && (self.service == "*" || self.service == service)
            && (disposable || !self.disposables)
    }
}
