// SPDX-License-Identifier: GPL-3.0-or-later
//! Where the time of a start went.

use std::time::Instant;

use bulkhead_admin::{StageTime, StartReport};

/// Measures stages one after the other.
pub(super) struct Laps {
    since: Instant,
    stages: Vec<StageTime>,
}

impl Laps {
    pub(super) fn begin() -> Self {
        Self {
            since: Instant::now(),
            stages: Vec::new(),
        }
    }

    pub(super) fn end_of(&mut self, stage: &str) {
        let took = self.since.elapsed();
        self.since = Instant::now();
        self.stages.push(StageTime {
            stage: stage.to_owned(),
            microseconds: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
    }

    pub(super) fn report(self, failure: Option<String>) -> StartReport {
        StartReport {
            stages: self.stages,
            failure,
        }
    }
}
