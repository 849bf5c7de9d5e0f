// SPDX-License-Identifier: GPL-3.0-or-later
//! What the administrator asks of the daemon: a line of JSON, answered by a line of JSON; a trace
//! is answered by a line for each record until one side hangs up.

use bulkhead_types::Layout;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

use crate::grants::{GrantRequest, GrantState};
use crate::prompts::KeptState;
use crate::quota::{Quota, Usage};

/// The longest request.
pub const REQUEST_MAX: usize = 64 << 10;

/// Where it is asked.
pub fn control_socket(layout: &Layout) -> PathBuf {
    layout.policy_control_socket()
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// Give a permission with an end.
    Grant(GrantRequest),
    /// Tell of all grants.
    Grants,
    /// Tell of the user's answers that count for further calls.
    KeptAnswers,
    /// Which grants allow this call?
    Covering {
        /// Who calls.
        source: String,
        /// Whom.
        target: String,
        /// What for.
        service: String,
    },
    /// End a grant, or all of them and what the user's answers allow or refuse.
    Revoke {
        /// Which; `None` is all.
        id: Option<u64>,
    },
    /// Tell of the quotas and what was used of them.
    Quotas,
    /// Read settings, quotas and policy again, and say when that is done.
    Reload,
    /// Tell of each record as it is made.
    Trace,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The grant that was given.
    Granted(GrantState),
    /// Grants.
    Grants(Vec<GrantState>),
    /// The user's answers that are kept.
    KeptAnswers(Vec<KeptState>),
    /// How many grants were ended, and how many calls had to end with them.
    Revoked {
        /// Grants.
        grants: Vec<u64>,
        /// Calls.
        calls: usize,
        /// Answers of the user that count no more.
        #[serde(default)]
        answers: usize,
    },
    /// Quotas.
    Quotas {
        /// The quotas in their order; the last ones are the defaults.
        quotas: Vec<Quota>,
        /// What was used.
        usage: Vec<Usage>,
    },
    /// It is done.
    Done,
    /// It cannot be done.
    Refused {
        /// Why.
        message: String,
    },
}
