// SPDX-License-Identifier: GPL-3.0-or-later
//! Quotas: how often a domain may call, and how many calls it may have under way. No I/O.
//!
//! Each call that policy allows is counted by the first quota that fits it, for its source alone:
//! what one domain uses up is missed by no other. A quota with a service counts that service, one
//! with `*` all services together that no earlier quota counts. Besides, every question counts
//! against [`QUESTIONS`], so that a domain cannot fill the ledger with refusals.

mod changes;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_policy::Domain;
use serde::{Deserialize, Serialize};

/// Questions of one domain: so many at once, and so many each second after that.
pub const QUESTIONS: (u32, u32) = (20_000, 500);
/// Refusals are held back for so long at most; this is more than a domain can have open.
const LONGEST_HOLD: Duration = Duration::from_secs(1);
/// Domains that are remembered at one time; past it those go that have used nothing lately.
const REMEMBERED: usize = 10_000;

/// One quota.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Whose calls: a name, `@tag:TAG`, `@type:CLASS` or `*`.
    pub source: String,
    /// Calls of what: a service without an argument, or `*`.
    pub service: String,
    /// Whether it is about calls that start a new disposable alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disposables: bool,
    /// How many calls in a minute, in the long run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// How many calls at once after a rest; without it, those of a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// How many calls under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
}

impl Quota {
    /// What holds where nothing is configured: new disposables are dear, other calls are not.
    pub fn defaults() -> Vec<Self> {
        let any = Self {
            source: "*".into(),
            service: "*".into(),
            disposables: false,
            per_minute: None,
            burst: None,
            at_once: None,
        };
        vec![
            Self {
                disposables: true,
                per_minute: Some(60),
                burst: Some(30),
                at_once: Some(20),
                ..any.clone()
            },
            Self {
                at_once: Some(1024),
                ..any
            },
        ]
    }

    /// What is wrong with it, if something is.
    pub fn problem(&self) -> Option<String> {
        let word = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        let source = self.source.as_str();
        let prefixed = source
            .strip_prefix("@tag:")
            .or_else(|| source.strip_prefix("@type:"));
        if source != "*" && !word(prefixed.unwrap_or(source)) {
            return Some(format!(
                "`{source}` is no source; write a name, @tag:TAG, @type:CLASS or *"
            ));
        }
        if self.service != "*" && !word(&self.service) {
            let service = &self.service;
            return Some(format!(
                "`{service}` is no service without an argument, and not *"
            ));
        }
        if self.per_minute.is_none() && self.at_once.is_none() {
            return Some("it limits nothing; give `per_minute`, `at_once` or both".into());
        }
        if self.burst.is_some() && self.per_minute.is_none() {
            return Some("`burst` goes with `per_minute`".into());
        }
        None
    }

    /// Its name among quotas: what it is about.
    pub fn name(&self) -> String {
        let more = if self.disposables { " disposables" } else { "" };
        format!("{} {}{more}", self.source, self.service)
    }

    fn fits(&self, source: &Domain, service: &str, disposable: bool) -> bool {
        let wanted = self.source.as_str();
        let source_fits = match wanted.strip_prefix("@tag:") {
            Some(tag) => source.tags.iter().any(|own| own == tag),
            None => match wanted.strip_prefix("@type:") {
                Some(class) => source.class == class,
                None => wanted == "*" || wanted == source.name.as_str(),
            },
        };
        source_fits
            && (self.service == "*" || self.service == service)
            && (disposable || !self.disposables)
    }
}

/// A refusal that says it is one of a quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaReached(pub String);

/// What was used of a quota by one domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The domain.
    pub source: String,
    /// The quota, as [`Quota::name`].
    pub quota: String,
    /// Calls under way.
    pub under_way: u64,
    /// Calls that could be made at once now; `None` where there is no rate.
    pub left: Option<u64>,
    /// Calls refused since the daemon's start.
    pub refused: u64,
}

/// A bucket of permissions that fills with time.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// In parts of [`WHOLE`].
    level: u64,
    seen: Duration,
}

/// A permission, so that a microsecond at one a minute is a whole number.
const WHOLE: u64 = 60_000_000;

impl Bucket {
    fn full(burst: u32, now: Duration) -> Self {
        Self {
            level: u64::from(burst) * WHOLE,
            seen: now,
        }
    }

    fn fill(&mut self, burst: u32, per_minute: u32, now: Duration) {
        let passed = now.saturating_sub(self.seen).as_micros();
        let gained = passed.saturating_mul(u128::from(per_minute));
        let gained = u64::try_from(gained).unwrap_or(u64::MAX);
        self.level = self
            .level
            .saturating_add(gained)
            .min(u64::from(burst) * WHOLE);
        self.seen = self.seen.max(now);
    }

    fn take(&mut self) -> bool {
        let enough = self.level >= WHOLE;
        if enough {
            self.level -= WHOLE;
        }
        enough
    }
}

#[derive(Debug)]
struct Account {
    bucket: Bucket,
    refused: u64,
}

/// The quotas and what was used of them.
#[derive(Debug)]
pub(crate) struct Quotas {
    quotas: Vec<(Arc<str>, Quota)>,
    /// Those that somebody has set.
    configured: Vec<Quota>,
    accounts: HashMap<(Arc<str>, String), Account>,
    questions: HashMap<String, Questions>,
}

/// The questions of one domain.
#[derive(Debug)]
struct Questions {
    bucket: Bucket,
    /// When the last refusal that is held back leaves.
    last_held: Duration,
}

impl Quotas {
    /// These quotas, and the defaults for what they do not fit.
    pub fn new(configured: Vec<Quota>) -> Self {
        let mut quotas = Self {
            quotas: Vec::new(),
            configured: Vec::new(),
            accounts: HashMap::new(),
            questions: HashMap::new(),
        };
        quotas.set(configured);
        quotas
    }

    /// Takes other quotas; what was changed, in words. What was used of one that stays counts on.
    pub fn set(&mut self, configured: Vec<Quota>) -> Vec<String> {
        let changes = changes::changes(&self.configured, &configured);
        self.configured.clone_from(&configured);
        let all = configured.into_iter().chain(Quota::defaults());
        self.quotas = all.map(|quota| (quota.name().into(), quota)).collect();
        let names = &self.quotas;
        self.accounts
            .retain(|(name, _), _| names.iter().any(|(known, _)| known == name));
        changes
    }

    /// All quotas in their order.
    pub fn quotas(&self) -> impl Iterator<Item = &Quota> {
        self.quotas.iter().map(|(_, quota)| quota)
    }

    /// Counts a question of a domain.
    pub fn ask(&mut self, source: &str, now: Duration) -> Result<(), QuotaReached> {
        let (burst, per_second) = QUESTIONS;
        if self.questions.len() >= REMEMBERED && !self.questions.contains_key(source) {
            self.questions.retain(|_, Questions { bucket, .. }| {
                bucket.fill(burst, per_second * 60, now);
                bucket.level < u64::from(burst) * WHOLE
            });
        }
        let questions = self.questions.entry(source.to_owned());
        let questions = questions.or_insert_with(|| Questions {
            bucket: Bucket::full(burst, now),
            last_held: now,
        });
        let bucket = &mut questions.bucket;
        bucket.fill(burst, per_second * 60, now);
        match bucket.take() {
            true => Ok(()),
            false => Err(QuotaReached(format!(
                "quota: a domain may ask for {per_second} calls a second"
            ))),
        }
    }

    /// How long a refusal by [`Self::ask`] is held back: those of one domain leave one after the
    /// other, as fast as it may ask. Who waits for an answer before it asks again, or may only
    /// have so many questions open as a qrexec daemon lets a guest have, is slowed down so much
    /// that no other domain notices.
    pub fn hold(&mut self, source: &str, now: Duration) -> Duration {
        let Some(questions) = self.questions.get_mut(source) else {
            return Duration::ZERO;
        };
        let turn = questions.last_held.max(now) + Duration::from_secs(1) / QUESTIONS.1;
        let wait = turn - now;
        if wait > LONGEST_HOLD {
            return Duration::ZERO;
        }
        questions.last_held = turn;
        wait
    }

    /// Counts a call that policy allows; the quota that counts it. `under_way` says how many calls
    /// of the source a quota counts now.
    pub fn admit(
        &mut self,
        source: &Domain,
        service: &str,
        disposable: bool,
        now: Duration,
        under_way: impl Fn(&Arc<str>) -> usize,
    ) -> Result<Option<Arc<str>>, QuotaReached> {
        let fitting = |(_, quota): &&(Arc<str>, Quota)| quota.fits(source, service, disposable);
        let Some((name, quota)) = self.quotas.iter().find(fitting) else {
            return Ok(None);
        };
        let what = match quota.service.as_str() {
            _ if quota.disposables => "calls to new disposables",
            "*" => "calls",
            service => &format!("calls of {service}"),
        };
        let per_minute = quota.per_minute.unwrap_or_default();
        let burst = quota.burst.unwrap_or(per_minute);
        let key = (name.clone(), source.name.to_string());
        let account = self.accounts.entry(key).or_insert_with(|| Account {
            bucket: Bucket::full(burst, now),
            refused: 0,
        });
        let source = &source.name;
        if let Some(limit) = quota.at_once
            && under_way(name) >= limit as usize
        {
            account.refused += 1;
            return Err(QuotaReached(format!(
                "quota: {source} may have {limit} {what} under way"
            )));
        }
        if quota.per_minute.is_some() {
            account.bucket.fill(burst, per_minute, now);
            if !account.bucket.take() {
                account.refused += 1;
                return Err(QuotaReached(format!(
                    "quota: {source} may make {per_minute} {what} a minute"
                )));
            }
        }
        Ok(Some(name.clone()))
    }

    /// What was used.
    pub fn usage(&self, now: Duration, under_way: impl Fn(&Arc<str>, &str) -> usize) -> Vec<Usage> {
        let accounts = self.accounts.iter().map(|((name, source), account)| {
            let quota = self.quotas.iter().find(|(known, _)| known == name);
            let rate = quota.and_then(|(_, quota)| Some((quota.per_minute?, quota.burst)));
            let left = rate.map(|(per_minute, burst)| {
                let mut bucket = account.bucket;
                bucket.fill(burst.unwrap_or(per_minute), per_minute, now);
                bucket.level / WHOLE
            });
            Usage {
                source: source.clone(),
                quota: name.to_string(),
                under_way: under_way(name, source) as u64,
                left,
                refused: account.refused,
            }
        });
        let mut usage: Vec<_> = accounts.collect();
        usage.sort_by(|a, b| (&a.source, &a.quota).cmp(&(&b.source, &b.quota)));
        usage
    }

    /// Forgets the domains that are gone.
    pub fn retain_sources(&mut self, exists: impl Fn(&str) -> bool) {
        self.accounts.retain(|(_, source), _| exists(source));
        self.questions.retain(|source, _| exists(source));
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_policy::System;

    use super::*;

    fn domain(name: &str) -> Domain {
        let system = format!(r#"{{"domains": {{"{name}": {{"type": "DispVM", "tags": ["t"]}}}}}}"#);
        let system: System = serde_json::from_str(&system).unwrap();
        (*system.domains()[0]).clone()
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_flood_of_disposables_ends_at_the_burst_and_a_neighbour_does_not_notice() {
        let mut quotas = Quotas::new(Vec::new());
        let (bad, good) = (domain("bad"), domain("good"));
        let mut admitted = |who: &Domain, now| {
            quotas
                .admit(who, "qubes.OpenInVM", true, now, |_| 0)
                .is_ok()
        };
        let allowed = (0..1000).filter(|_| admitted(&bad, at(0))).count();
        assert_eq!(allowed, 30);
        assert!(admitted(&good, at(0)));
        // One a second comes back.
        assert!(!admitted(&bad, at(0)) && admitted(&bad, at(1)) && !admitted(&bad, at(1)));
        let refused = quotas.admit(&bad, "x", true, at(1), |_| 0).unwrap_err();
        assert_eq!(
            refused.0,
            "quota: bad may make 60 calls to new disposables a minute"
        );
        // Other calls are counted by another quota.
        assert!(
            quotas
                .admit(&bad, "qubes.Filecopy", false, at(1), |_| 0)
                .is_ok()
        );
    }

    #[test]
    fn calls_under_way_have_a_limit_of_their_own() {
        let quota = Quota {
            source: "@tag:t".into(),
            service: "qubes.Gpg".into(),
            disposables: false,
            per_minute: None,
            burst: None,
            at_once: Some(2),
        };
        let mut quotas = Quotas::new(vec![quota]);
        let work = domain("work");
        assert!(
            quotas
                .admit(&work, "qubes.Gpg", false, at(0), |_| 1)
                .is_ok()
        );
        let refused = quotas
            .admit(&work, "qubes.Gpg", false, at(0), |_| 2)
            .unwrap_err();
        assert_eq!(
            refused.0,
            "quota: work may have 2 calls of qubes.Gpg under way"
        );
        assert!(
            quotas
                .admit(&work, "qubes.Other", false, at(0), |_| 2)
                .is_ok()
        );
    }

    #[test]
    fn questions_have_a_limit_even_when_they_are_refused() {
        let mut quotas = Quotas::new(Vec::new());
        let asked = (0..50_000).filter(|_| quotas.ask("bad", at(0)).is_ok());
        assert_eq!(asked.count(), QUESTIONS.0 as usize);
        assert!(quotas.ask("good", at(0)).is_ok());
        let asked = (0..50_000).filter(|_| quotas.ask("bad", at(1)).is_ok());
        assert_eq!(asked.count(), QUESTIONS.1 as usize);
    }

    #[test]
    fn refusals_of_a_flood_leave_one_after_the_other_and_those_of_others_at_once() {
        let mut quotas = Quotas::new(Vec::new());
        let _ = quotas.ask("bad", at(0));
        let _ = quotas.ask("good", at(0));
        let held: Vec<_> = (0..3).map(|_| quotas.hold("bad", at(5))).collect();
        assert_eq!(held, [2, 4, 6].map(Duration::from_millis));
        assert_eq!(quotas.hold("good", at(5)), Duration::from_millis(2));
        // A domain that has more open than a qrexec daemon would let it gains nothing by that.
        let held: Vec<_> = (0..5_000).map(|_| quotas.hold("bad", at(5))).collect();
        let longest = held.iter().max().copied();
        assert_eq!(longest, Some(LONGEST_HOLD));
        assert_eq!(held.last(), Some(&Duration::ZERO));
        assert_eq!(quotas.hold("bad", at(9)), Duration::from_millis(2));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let mut bucket = Bucket::full(2, at(100));
        assert!(bucket.take() && bucket.take());
        bucket.fill(2, 60, at(10));
        assert!(!bucket.take());
        bucket.fill(2, 60, at(101));
        assert!(bucket.take() && !bucket.take());
        bucket.fill(2, u32::MAX, Duration::MAX);
        assert!(bucket.take() && bucket.take() && !bucket.take());
    }
}
