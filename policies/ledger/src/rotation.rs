// SPDX-License-Identifier: GPL-3.0-or-later
//! Full segments are put aside, and the oldest removed.

use std::fs::{self, File};
use std::time::SystemTime;

use crate::end::last_record;
use crate::open::appending;
use crate::record::Event;
use crate::segments::{self, CURRENT};
use crate::writer::{Ledger, LedgerError};

/// How large a ledger may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A segment of this many bytes is full.
    pub segment: u64,
    /// So many full segments are kept; 0 keeps all.
    pub keep: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment: 64 << 20,
            keep: 0,
        }
    }
}

impl Ledger {
    /// Puts the full segment aside, sealed, and begins a new one.
    pub(crate) fn rotate(&mut self, now: SystemTime) -> Result<(), LedgerError> {
        self.seal(now)?;
        let current = self.directory.join(CURRENT);
        let aside = self.directory.join(segments::full_name(self.first));
        let turn = || {
            self.file.sync_data()?;
            fs::rename(&current, &aside)?;
            appending(&current)
        };
        self.file = turn().map_err(LedgerError::Write)?;
        self.length = 0;
        self.first = self.head.sequence + 1;
        self.prune(now)
    }

    fn prune(&mut self, now: SystemTime) -> Result<(), LedgerError> {
        let full = segments::full(&self.directory).map_err(LedgerError::Write)?;
        let surplus = match self.limits.keep {
            0 => 0,
            keep => full.len().saturating_sub(keep),
        };
        if surplus == 0 {
            return Ok(());
        }
        for (_, name) in &full[..surplus] {
            let path = self.directory.join(name);
            let end = File::open(&path).and_then(|mut file| last_record(&mut file));
            let Ok(Some((through, chain))) = end else {
                // A segment that is not as it should be is evidence, and stays.
                return Ok(());
            };
            // Told first: a crash in between leaves more than was promised, not less.
            let value = chain.to_string();
            self.write(&[Event::Pruned { through, value }], now)?;
            self.seal(now)?;
            fs::remove_file(path).map_err(LedgerError::Write)?;
        }
        Ok(())
    }
}
