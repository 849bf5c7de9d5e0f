// SPDX-License-Identifier: GPL-3.0-or-later
//! The calls under way, without any I/O.
//!
//! A call begins with its permission. Whoever was allowed to make it says that it runs, and how
//! it ended; if nobody ever says so, as daemons of another implementation do not, the call is
//! forgotten after a while.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// How long a permission counts as a call although nobody says that it runs: what the start of
/// a target takes at most.
pub(crate) const SILENCE: Duration = Duration::from_secs(90);

/// So many calls that are over wait for the report of their end.
const SILENT_MAX: usize = 10_000;

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
    /// Whether it was told how it ended.
    pub reported: bool,
}

/// All calls, by number.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// The last number that was given before this daemon began.
    before: u64,
    under_way: BTreeMap<u64, Call>,
    /// Those of each reporter, and first those that nobody has reported on yet, the oldest first: so that
    /// nobody's end makes the others wait while all calls are looked through.
    by_reporter: BTreeSet<(Option<u64>, u64)>,
    /// The sources of calls that are over and of whose end nothing was told yet.
    silent: BTreeMap<u64, String>,
    counts: HashMap<(Arc<str>, String), usize>,
}

impl Calls {
    /// No calls; numbers up to `before` were given by a daemon before this one.
    pub fn after(before: u64) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }

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
        self.by_reporter.insert((call.reporter, number));
        self.under_way.insert(number, call);
    }

    /// A reporter says that one of its source's calls runs. One that is not known has to be of
    /// before this daemon began.
    pub fn opened(&mut self, number: u64, reporter: u64, source: &str, now: Duration) -> bool {
        match self.under_way.get_mut(&number) {
            Some(call) if call.source == source => {
                self.by_reporter.remove(&(call.reporter, number));
                call.reporter = Some(reporter);
                self.by_reporter.insert((call.reporter, number));
            }
            Some(_) => return false,
            None if number > self.before => return false,
            None => self.begin(
                number,
                Call {
                    source: source.to_owned(),
                    quota: None,
                    since: now,
                    reporter: Some(reporter),
                    reported: false,
                },
            ),
        }
        true
    }

    /// A call of this source is over.
    pub fn closed(&mut self, number: u64, source: &str) -> Option<Call> {
        let Some(call) = self.under_way.get(&number) else {
            // It ended while no daemon listened.
            if number <= self.before {
                self.await_report(number, source.to_owned());
            }
            return None;
        };
        if call.source != source {
            return None;
        }
        let call = self.remove(number)?;
        if !call.reported {
            self.await_report(number, call.source.clone());
        }
        Some(call)
    }

    /// Whether a report of how a call ended counts: it is the first about a call of its source.
    pub fn reported(&mut self, number: u64, source: &str) -> bool {
        if let Some(call) = self.under_way.get_mut(&number) {
            return call.source == source && !std::mem::replace(&mut call.reported, true);
        }
        let own = self.silent.get(&number).is_some_and(|own| own == source);
        own && self.silent.remove(&number).is_some()
    }

    fn await_report(&mut self, number: u64, source: String) {
        self.silent.insert(number, source);
        while self.silent.len() > SILENT_MAX {
            self.silent.pop_first();
        }
    }

    /// Who reports on a call.
    pub fn reporter(&self, number: u64) -> Option<u64> {
        self.under_way.get(&number)?.reporter
    }

    /// The calls that a reporter leaves behind.
    pub fn orphans(&mut self, reporter: u64) -> Vec<(u64, Call)> {
        let of = |number| (Some(reporter), number);
        let left = self.by_reporter.range(of(u64::MIN)..=of(u64::MAX));
        let left: Vec<u64> = left.map(|(_, number)| *number).collect();
        self.take(left)
    }

    /// Forgets the permissions that came to no call.
    pub fn forget_silent(&mut self, now: Duration) -> Vec<(u64, Call)> {
        let silent = self.by_reporter.range(..(Some(u64::MIN), u64::MIN));
        let silent = silent.map(|(_, number)| *number);
        // A later number was given later.
        let too_long = silent.take_while(|number| {
            let call = self.under_way.get(number);
            call.is_some_and(|call| call.since + SILENCE < now)
        });
        let forgotten = too_long.collect();
        let forgotten = self.take(forgotten);
        for (number, call) in forgotten.iter().filter(|(_, call)| !call.reported) {
            self.await_report(*number, call.source.clone());
        }
        forgotten
    }

    fn take(&mut self, numbers: Vec<u64>) -> Vec<(u64, Call)> {
        let taken = numbers.into_iter();
        taken
            .filter_map(|number| Some((number, self.remove(number)?)))
            .collect()
    }

    fn remove(&mut self, number: u64) -> Option<Call> {
        let call = self.under_way.remove(&number)?;
        self.by_reporter.remove(&(call.reporter, number));
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
            reported: false,
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
    fn what_a_reporter_leaves_and_what_nobody_reports_on_is_found_among_all() {
        let mut calls = Calls::default();
        for number in 1..=6 {
            calls.begin(number, call("work", number));
        }
        for (number, reporter) in [(2, 7), (3, 8), (5, 7), (6, 8)] {
            assert!(calls.opened(number, reporter, "work", Duration::ZERO));
        }
        // Another daemon of the same source says that it has the call.
        assert!(calls.opened(6, 7, "work", Duration::ZERO));
        let numbers = |calls: Vec<(u64, Call)>| calls.into_iter().map(|(n, _)| n);
        assert!(numbers(calls.orphans(7)).eq([2, 5, 6]));
        assert_eq!(calls.orphans(7).len(), 0);
        let now = SILENCE + Duration::from_secs(4);
        assert!(numbers(calls.forget_silent(now)).eq([1]));
        assert!(numbers(calls.forget_silent(now * 2)).eq([4]));
        assert!(numbers(calls.orphans(8)).eq([3]));
        assert!(calls.len() == 0 && calls.by_reporter.is_empty() && calls.counts.is_empty());
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

    #[test]
    fn one_report_counts_and_only_of_a_call_of_its_source() {
        let mut calls = Calls::after(4);
        calls.begin(5, call("work", 0));
        assert!(!calls.reported(5, "vault"));
        assert!(calls.reported(5, "work"));
        assert!(!calls.reported(5, "work"), "it was told already");
        calls.closed(5, "work");
        assert!(!calls.reported(5, "work"));
        // The report may come after the word that the call is over.
        calls.begin(6, call("work", 0));
        calls.closed(6, "work");
        assert!(!calls.reported(6, "vault"));
        assert!(calls.reported(6, "work"));
        // A number is not taken up again; one of before this daemon is.
        assert!(!calls.opened(6, 7, "vault", Duration::ZERO));
        assert!(!calls.reported(6, "vault"));
        assert!(!calls.reported(9, "work"), "it was never given");
        assert!(calls.opened(4, 7, "work", Duration::ZERO));
        assert!(calls.reported(4, "work"));
        calls.closed(3, "work");
        assert!(calls.reported(3, "work"));
    }

    #[test]
    fn what_waits_for_a_report_is_bounded() {
        let mut calls = Calls::default();
        for number in 0..SILENT_MAX as u64 + 10 {
            calls.begin(number, call("work", 0));
            calls.closed(number, "work");
        }
        assert_eq!(calls.silent.len(), SILENT_MAX);
        assert!(!calls.reported(0, "work"));
        assert!(calls.reported(SILENT_MAX as u64, "work"));
    }
}
