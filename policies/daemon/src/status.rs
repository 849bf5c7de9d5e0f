// SPDX-License-Identifier: GPL-3.0-or-later
//! What the daemon says of itself.

use std::path::PathBuf;

use bulkhead_types::Layout;
use serde::{Deserialize, Serialize};

/// Where the daemon tells its [`Status`]: connect, and read one JSON document to the end.
pub fn status_socket(layout: &Layout) -> PathBuf {
    layout.runtime().join("policy-status.sock")
}

/// The daemon's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The policy that decides.
    pub policy: PolicyStatus,
    /// How many domains the domain manager told of; `None` while it is away and every call
    /// is refused.
    pub domains: Option<usize>,
    /// Records in the ledger.
    pub records: u64,
    /// Why the last decision could not be recorded and was refused, if so.
    pub ledger_error: Option<String>,
    /// Why the settings on the disk are not used, if so.
    #[serde(default)]
    pub settings_error: Option<String>,
    /// Calls allowed since the start.
    pub allowed: u64,
    /// Calls refused since the start.
    pub denied: u64,
    /// Calls under way.
    #[serde(default)]
    pub under_way: usize,
    /// Questions that wait for the user.
    #[serde(default)]
    pub waiting: usize,
    /// Answers of the user that count for further calls.
    #[serde(default)]
    pub kept_answers: usize,
    /// Whether there is a prompt in dom0's session, which asks the user; `None` where nobody
    /// has looked.
    #[serde(default)]
    pub prompt: Option<bool>,
}

/// The live policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// Its rules; `None` when there is no policy and every call is refused.
    pub rules: Option<usize>,
    /// The files it was read from.
    pub files: Vec<String>,
    /// When it went live, in UTC, as RFC 3339.
    pub since: Option<String>,
    /// What is wrong with what is on the disk now, shown with lines and carets; the rules
    /// above are older then.
    pub error: Option<String>,
}

impl Status {
    /// The state in one line, for a person.
    pub fn summary(&self) -> String {
        let policy = match (&self.policy.rules, &self.policy.error) {
            (Some(rules), None) => format!("{rules} rules"),
            (Some(rules), Some(_)) => format!("{rules} older rules, the files have errors"),
            (None, _) => "no policy, every call is refused".to_owned(),
        };
        let system = match self.domains {
            Some(domains) => format!("{domains} domains"),
            None => "no domain manager, every call is refused".to_owned(),
        };
        let mut summary = format!("{policy}; {system}");
        for (count, what) in [
            (self.waiting, "questions wait for the user"),
            (self.kept_answers, "answers of the user are kept"),
        ] {
            if count > 0 {
                summary.push_str(&format!("; {what}: {count}"));
            }
        }
        if self.prompt == Some(false) {
            summary.push_str("; no prompt in dom0's session, so what a rule asks is refused");
        }
        summary
    }
}
