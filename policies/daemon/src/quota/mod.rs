// SPDX-License-Identifier: GPL-3.0-or-later
//! Quotas: how often a domain may call, and how many calls it may have under way. No I/O.
//!
//! Each call that policy allows is counted by the first quota that fits it, for its source alone:
//! what one domain uses up is missed by no other. A quota with a service counts that service, one
//! with `*` all services together that no earlier quota counts. Besides, every question counts
//! against [`QUESTIONS`], so that a domain cannot fill the ledger with refusals.

mod changes;
mod configuration;
mod questions;
mod token_bucket;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_policy::Domain;
use serde::{Deserialize, Serialize};

pub use configuration::Quota;
pub use questions::QUESTIONS;
use questions::Questions;
use token_bucket::TokenBucket;

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

/// What one domain has used of one quota.
#[derive(Debug)]
struct Account {
    bucket: TokenBucket,
    refused: u64,
}

/// The quotas and what was used of them.
#[derive(Debug)]
pub(crate) struct Quotas {
    quotas: Vec<(Arc<str>, Quota)>,
    /// Those that somebody has set.
    configured: Vec<Quota>,
    accounts: HashMap<(Arc<str>, String), Account>,
    /// Every question counts, whatever policy says to it.
    pub questions: Questions,
}

impl Quotas {
    /// These quotas, and the defaults for what they do not fit.
    pub fn new(configured: Vec<Quota>) -> Self {
        let mut quotas = Self {
            quotas: Vec::new(),
            configured: Vec::new(),
            accounts: HashMap::new(),
            questions: Questions::default(),
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
        let what = |number: u32| {
            let calls = if number == 1 { "call" } else { "calls" };
            match quota.service.as_str() {
                _ if quota.disposables => format!("{number} {calls} to new disposables"),
                "*" => format!("{number} {calls}"),
                service => format!("{number} {calls} of {service}"),
            }
        };
        let per_minute = quota.per_minute.unwrap_or_default();
        let burst = quota.burst.unwrap_or(per_minute);
        let key = (name.clone(), source.name.to_string());
        let account = self.accounts.entry(key).or_insert_with(|| Account {
            bucket: TokenBucket::full(burst, now),
            refused: 0,
        });
        let source = &source.name;
        if let Some(limit) = quota.at_once
            && under_way(name) >= limit as usize
        {
            account.refused += 1;
            return Err(QuotaReached(format!(
                "quota: {source} may have {} under way",
                what(limit)
            )));
        }
        if quota.per_minute.is_some() {
            account.bucket.fill(burst, per_minute, now);
            if !account.bucket.take() {
                account.refused += 1;
                return Err(QuotaReached(format!(
                    "quota: {source} may make {} a minute",
                    what(per_minute)
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
                bucket.left()
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
        self.questions.retain_sources(exists);
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
}
