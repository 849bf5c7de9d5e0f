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
        if self.live.is_empty() {
            return Vec::new();
        }
        let (system, runs) = (self.system.clone(), self.runs.clone());
        self.remove(|grant| {
            let state = &grant.state;
            if state.is_over(now) {
                Some("its time is up")
            } else if grant.has_stopped(system.as_deref(), &runs) {
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
        self.remove(|grant| {
            id.is_none_or(|id| id == grant.state.id)
                .then_some("it was revoked")
        })
    }

    fn remove(&mut self, why: impl Fn(&Grant) -> Option<&'static str>) -> Vec<Ended> {
        let mut ended = Vec::new();
        self.live.retain(|grant| match why(grant) {
            None => true,
            Some(why) => {
                let grant = grant.state.clone();
                ended.push(Ended { grant, why });
                false
            }
        });
        ended
    }
}
