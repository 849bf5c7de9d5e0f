// SPDX-License-Identifier: GPL-3.0-or-later
//! The file system, the network and other processes, closed by Landlock: a second lock behind
//! the list of system calls, which closes them too.

use std::fmt;

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetStatus,
    Scope,
};

use crate::ConfineError;

/// The newest rules that are asked for; an older kernel takes what it knows.
const NEWEST: ABI = ABI::V6;

/// How far a kernel enforces what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landlock {
    /// Files, TCP, abstract sockets and signals.
    Full,
    /// The part that this kernel knows.
    Partial,
    /// Nothing: this kernel has no Landlock, or it was not switched on.
    Absent,
}

impl fmt::Display for Landlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "enforced",
            Self::Partial => "enforced as far as this kernel can",
            Self::Absent => "not in this kernel",
        })
    }
}

/// Closes everything, without an exception.
pub(crate) fn close() -> Result<Landlock, ConfineError> {
    let closed = || {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?
            .restrict_self()
    };
    let status = closed().map_err(ConfineError::Landlock)?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Landlock::Full,
        RulesetStatus::PartiallyEnforced => Landlock::Partial,
        RulesetStatus::NotEnforced => Landlock::Absent,
    })
}
