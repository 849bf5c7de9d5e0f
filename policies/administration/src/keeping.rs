// SPDX-License-Identifier: GPL-3.0-or-later
//! Which old generations keep their files: what the settings say, after each activation.

use std::time::{Duration, SystemTime};

use bulkhead_types::Layout;
use policy_generations::{Keeping, Store, StoreError};
use policy_ledger::rfc3339;
use policyd::{GenerationSettings, Settings, SettingsError};
use thiserror::Error;

const DAY: u64 = 86400;

/// Why old generations keep their files for now.
#[derive(Debug, Error)]
pub enum NotPruned {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The files cannot be removed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Removes the files of old generations; their numbers.
///
/// # Errors
///
/// What is live is as it was, and the next activation tries again.
pub fn prune(layout: &Layout, store: &Store, now: SystemTime) -> Result<Vec<u64>, NotPruned> {
    let GenerationSettings { keep, days } = Settings::load(layout)?.generations;
    if keep == 0 {
        return Ok(Vec::new());
    }
    let age = Duration::from_secs(days.saturating_mul(DAY));
    let since = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
    let keeping = Keeping {
        newest: keep,
        since: rfc3339(since.max(SystemTime::UNIX_EPOCH)),
    };
    Ok(store.prune(&keeping, &rfc3339(now))?)
}
