// SPDX-License-Identifier: GPL-3.0-or-later
//! The calls under way, without any I/O.
//!
//! A call begins with its permission. Whoever was allowed to make it says that it runs, and how
//! it ended; if nobody ever says so, as daemons of another implementation do not, the call is
//! forgotten after a while.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How long a permission counts as a call although nobody says that it runs: what the start of
/// a target takes at most.
pub(crate) const SILENCE: Duration = Duration::from_secs(90);

/// A call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The domain whose daemon asked.
    pub source: String,
    /// The quota that counts it.
    pub quota: Option<Arc<str>>,
    /// When it was allowed.
    pub since: Duration,
    /// Who reports on it.
    pub reporter: Option<u64>,
}

/// All calls, by number.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    under_way: BTreeMap<u64, Call>,
    counts: HashMap<(Arc<str>, String), usize>,
}

impl Calls {
    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    /// How many calls of a source a quota counts now.
    pub fn counted(&self, quota: &Arc<str>, source: &str) -> usize {
        let key = (quota.clone(), source.to_owned());
        self.counts.get(&key).copied().unwrap_or_default()
    }

    pub fn begin(&mut self, number: u64, call: Call) {
        if let Some(quota) = &call.quota {
            let key = (quota.clone(), call.source.clone());
            *self.counts.entry(key).or_default() += 1;
        }
        self.under_way.insert(number, call);
    }

    /// A reporter says that one of its source's calls runs. One that is not known was allowed
    /// before this daemon began.
    pub fn opened(&mut self, number: u64, reporter: u64, source: &str, now: Duration) -> bool {
        match self.under_way.get_mut(&number) {
            Some(call) if call.source == source => call.reporter = Some(reporter),
            Some(_) => return false,
            None => self.begin(
                number,
                Call {
                    source: source.to_owned(),
                    quota: None,
                    since: now,
                    reporter: Some(reporter),
                },
            ),
        }
        true
    }

    /// A call of this source is over.
    pub fn closed(&mut self, number: u64, source: &str) -> Option<Call> {
        let own = |call: &&Call| call.source == source;
        self.under_way.get(&number).filter(own)?;
        self.remove(number)
    }

    /// Who reports on a call.
    pub fn reporter(&self, number: u64) -> Option<u64> {
        self.under_way.get(&number)?.reporter
    }

    /// The calls that a reporter leaves behind.
    pub fn orphans(&mut self, reporter: u64) -> Vec<(u64, Call)> {
        self.take(|call| call.reporter == Some(reporter))
    }

    /// Forgets the permissions that came to no call.
    pub fn forget_silent(&mut self, now: Duration) -> Vec<(u64, Call)> {
        self.take(|call| call.reporter.is_none() && call.since + SILENCE < now)
    }

    fn take(&mut self, which: impl Fn(&Call) -> bool) -> Vec<(u64, Call)> {
        let found = self.under_way.iter().filter(|(_, call)| which(call));
        let numbers: Vec<u64> = found.map(|(number, _)| *number).collect();
        let taken = numbers.into_iter();
        taken
            .filter_map(|number| Some((number, self.remove(number)?)))
            .collect()
    }

    fn remove(&mut self, number: u64) -> Option<Call> {
        let call = self.under_way.remove(&number)?;
        if let Some(quota) = &call.quota {
            let key = (quota.clone(), call.source.clone());
            if let Some(count) = self.counts.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&key);
                }
            }
        }
        Some(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(source: &str, at: u64) -> Call {
        Call {
            source: source.into(),
            quota: Some("q".into()),
            since: Duration::from_secs(at),
            reporter: None,
        }
    }

    #[test]
    fn a_call_counts_from_its_permission_to_its_end() {
        let mut calls = Calls::default();
        let quota: Arc<str> = "q".into();
        calls.begin(1, call("work", 0));
        calls.begin(2, call("work", 0));
        assert_eq!(calls.counted(&quota, "work"), 2);
        assert!(calls.opened(1, 7, "work", Duration::ZERO));
        assert!(calls.closed(1, "work").is_some());
        assert_eq!(calls.counted(&quota, "work"), 1);
        assert_eq!(calls.forget_silent(SILENCE).len(), 0);
        assert_eq!(calls.forget_silent(SILENCE * 2).len(), 1);
        assert_eq!((calls.counted(&quota, "work"), calls.len()), (0, 0));
    }

    #[test]
    fn nobody_reports_on_the_calls_of_another_domain() {
        let mut calls = Calls::default();
        calls.begin(1, call("work", 0));
        assert!(!calls.opened(1, 7, "vault", Duration::ZERO));
        assert!(calls.closed(1, "vault").is_none());
        assert_eq!(calls.orphans(7).len(), 0);
        assert_eq!(calls.len(), 1);
    }
}
