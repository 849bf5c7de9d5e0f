// SPDX-License-Identifier: GPL-3.0-or-later
//! Grants that have ended are told, so that the calls that rest on them can be ended. What has ended is
//! not used before that either.

use std::time::Duration;

use super::{Grant, GrantState, Grants};

/// A grant that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub grant: GrantState,
    pub why: &'static str,
}

impl Grants {
    /// Removes what has ended by now. A grant that is used up stays for the sake of the calls
    /// that rest on it, as long as it has another end.
    pub fn expire(&mut self, now: Duration) -> Vec<Ended> {
        let Self {
            live, system, runs, ..
        } = self;
        take(live, |grant| {
            let state = &grant.state;
            if state.is_over(now) {
                Some("its time is up")
            } else if grant.has_stopped(system.as_deref(), runs) {
                Some("its source has stopped")
            } else if state.request.uses == Some(0) && state.calls.is_empty() {
                Some("it is used up")
            } else {
                None
            }
        })
    }

    /// Removes one, or all.
    pub fn revoke(&mut self, id: Option<u64>) -> Vec<Ended> {
        let meant = |grant: &Grant| id.is_none_or(|id| id == grant.state.id);
        take(&mut self.live, |grant| {
            meant(grant).then_some("it was revoked")
        })
    }
}

/// Takes out what has ended.
fn take(live: &mut Vec<Grant>, why: impl Fn(&Grant) -> Option<&'static str>) -> Vec<Ended> {
    let ended = live.iter().filter_map(|grant| {
        let (why, grant) = (why(grant)?, grant.state.clone());
        Some(Ended { grant, why })
    });
    let ended = ended.collect();
    live.retain(|grant| why(grant).is_none());
    ended
}
