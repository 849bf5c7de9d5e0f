// SPDX-License-Identifier: GPL-3.0-or-later
//! Old generations are not kept for ever.
//!
//! What goes are a generation's files. What it says of itself, and who signed that, stays: it is the
//! history, and vouches for files that later generations hold unchanged. Nothing goes that is live,
//! or was live just before, or is among the newest, or is young.
//!
//! A mark is written before the first file goes, so that a generation that lacks files is never taken
//! for one that has them all.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::store::{Store, StoreError, failed};

/// The fewest that can be kept: the live generation and the one before it.
const FEWEST: usize = 2;

/// What is kept in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// So many of the newest.
    pub newest: usize,
    /// All that were made at this time or later, in UTC, as RFC 3339.
    pub since: String,
}

/// That a generation's files are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// When, in UTC, as RFC 3339.
    pub time: String,
}

impl Store {
    /// Whether a generation's files are gone, or going.
    pub fn pruned(&self, number: u64) -> Option<Pruned> {
        let bytes = fs::read(self.mark(number)).ok()?;
        // A mark that cannot be read is one: it was being written.
        Some(serde_json::from_slice(&bytes).unwrap_or(Pruned {
            time: "unknown".to_owned(),
        }))
    }

    /// Removes the files of generations that need not be kept; their numbers. `now` is noted.
    ///
    /// # Errors
    ///
    /// Another command is changing the policy, or the disk says no. What is live still is, and what
    /// is not marked has all its files.
    pub fn prune(&self, keeping: &Keeping, now: &str) -> Result<Vec<u64>, StoreError> {
        self.prune_by_steps(keeping, now, &mut || Ok(()))
    }

    /// As [`Self::prune`]; `step` is told before each durable step, and may stop there.
    #[doc(hidden)]
    pub fn prune_by_steps(
        &self,
        keeping: &Keeping,
        now: &str,
        step: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<Vec<u64>, StoreError> {
        let Some(live) = self.live()? else {
            return Ok(Vec::new());
        };
        let _lock = self.lock()?;
        let mut disk = Disk { step };
        let surplus = self.surplus(live, keeping)?;
        for number in &surplus {
            let place = self.directory(*number);
            self.remove_files(&mut disk, *number, now)
                .map_err(failed("prune", &place))?;
        }
        Ok(surplus)
    }

    /// The generations whose files may go and are not gone.
    fn surplus(&self, live: u64, keeping: &Keeping) -> Result<Vec<u64>, StoreError> {
        // A change that was stopped in the middle leaves open what was live before.
        let Some(activation) = self.activation(live) else {
            return Ok(Vec::new());
        };
        let numbers = self.numbers()?;
        let newest = numbers.len().saturating_sub(keeping.newest.max(FEWEST));
        let mut surplus = Vec::new();
        for number in &numbers[..newest] {
            let kept = *number == live || activation.previous == Some(*number);
            if kept || !self.files_of(*number).exists() && !self.going(*number).exists() {
                continue;
            }
            // One that cannot be read is evidence, and stays.
            let Ok(generation) = self.read(*number) else {
                continue;
            };
            if generation.manifest.about.time < keeping.since {
                surplus.push(*number);
            }
        }
        Ok(surplus)
    }

    fn remove_files(&self, disk: &mut Disk<'_>, number: u64, now: &str) -> io::Result<()> {
        let (files, going) = (self.files_of(number), self.going(number));
        if self.pruned(number).is_none() {
            let aside = self.directory(number).join("pruned.new");
            let mark = Pruned {
                time: now.to_owned(),
            };
            disk.remove_all(&aside)?;
            disk.write(&aside, &serde_json::to_vec_pretty(&mark)?)?;
            disk.rename(&aside, &self.mark(number))?;
            disk.sync(&self.directory(number))?;
        }
        disk.remove_all(&going)?;
        if files.exists() {
            disk.rename(&files, &going)?;
            disk.remove_all(&going)?;
        }
        disk.sync(&self.directory(number))
    }

    fn mark(&self, number: u64) -> PathBuf {
        self.directory(number).join("pruned.json")
    }

    /// Where files go before they are gone.
    fn going(&self, number: u64) -> PathBuf {
        self.directory(number).join("going")
    }
}
