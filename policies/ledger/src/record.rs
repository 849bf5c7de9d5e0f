// SPDX-License-Identifier: GPL-3.0-or-later
//! What the ledger keeps.

use serde::{Deserialize, Serialize};

/// One record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts up from 1 over all of the ledger; the ledger numbers it.
    pub sequence: u64,
    /// When, in UTC, as RFC 3339.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A call was decided.
    Decision(Decision),
    /// A call that had been allowed is over.
    Close(Close),
    /// Somebody changed what may be decided.
    Act(Act),
    /// The records so far are signed.
    Seal(Seal),
    /// The writer began.
    Start {
        /// Its version.
        version: String,
        /// The machine's boot, as the kernel numbers it.
        boot: String,
        /// The public key of the seals that follow.
        key: String,
        /// Bytes of an unfinished record that were removed.
        #[serde(default, skip_serializing_if = "is_zero")]
        torn: u64,
        /// How many records before this one had been written and were no longer there.
        #[serde(default, skip_serializing_if = "is_zero")]
        lost: u64,
    },
    /// The writer ended as it should.
    Stop,
    /// A disposable in private mode asked something. The time is cut to the hour.
    Private,
    /// More calls of the same kind were refused than are written down one by one.
    Flood {
        /// Who asked.
        source: String,
        /// How many there were since the last such record.
        refused: u64,
    },
    /// Old segments were removed, as the settings say.
    Pruned {
        /// The last record that was removed.
        through: u64,
        /// The chain value after it.
        value: String,
    },
}

/// The decision on a call. Its number is the call's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who asked.
    pub source: String,
    /// Of whom, as written by the caller.
    pub requested_target: String,
    /// What for, with the argument.
    pub service: String,
    /// `allow` or `deny`.
    pub verdict: String,
    /// File and line of the rule, where one decided.
    pub rule: Option<String>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Where the call goes.
    pub target: Option<String>,
    /// The generation of the policy, where generations are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// What the user answered, where the user was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// The grant that the permission rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<u64>,
    /// Whether the asker only wanted to know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub just_evaluated: bool,
}

/// The end of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The number of the decision.
    pub call: u64,
    /// How long it lasted, in milliseconds.
    pub duration_ms: u64,
    /// Why it ended, in a few words.
    pub end: String,
    /// Bytes from the caller to the service, where they passed dom0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<u64>,
    /// Bytes from the service to the caller, where they passed dom0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<u64>,
    /// Where the time went, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stages: Option<Stages>,
}

/// The stages of a call, in microseconds since its request came to dom0. What dom0 does not see is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// Policy had answered.
    pub policy_us: u64,
    /// The service's place had taken the call; a halted domain was started before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_us: Option<u64>,
    /// Caller and service had met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_us: Option<u64>,
    /// The service had said something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_us: Option<u64>,
    /// The call was over.
    pub end_us: u64,
}

/// An act of administration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// Who: a user of dom0, or a domain.
    pub by: String,
    /// What: `grant`, `revoke`, `activate` …
    pub what: String,
    /// The rest, for people.
    pub detail: String,
}

/// A signature over all records before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// The public key.
    pub key: String,
    /// Over the seal's number and the chain value before it.
    pub signature: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
