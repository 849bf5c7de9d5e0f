// SPDX-License-Identifier: GPL-3.0-or-later
//! How often a domain may ask at all, be it refused or not.

use std::collections::HashMap;
use std::time::Duration;

use super::QuotaReached;
use super::token_bucket::TokenBucket;

/// Questions of one domain: so many at once, and so many each second after that.
pub const QUESTIONS: (u32, u32) = (20_000, 500);
/// Refusals are held back for so long at most; this is more than a domain can have open.
const LONGEST_HOLD: Duration = Duration::from_secs(1);
/// Domains that are remembered at one time; past it those go that have used nothing lately.
const REMEMBERED: usize = 10_000;

/// What each domain has asked lately.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    domains: HashMap<String, Asked>,
}

/// What one domain has asked.
#[derive(Debug)]
struct Asked {
    bucket: TokenBucket,
    /// When the last refusal that is held back leaves.
    last_held: Duration,
}

impl Questions {
    /// Counts a question of a domain.
    pub fn ask(&mut self, source: &str, now: Duration) -> Result<(), QuotaReached> {
        let (burst, per_second) = QUESTIONS;
        if self.domains.len() >= REMEMBERED && !self.domains.contains_key(source) {
            self.domains.retain(|_, Asked { bucket, .. }| {
                bucket.fill(burst, per_second * 60, now);
                !bucket.is_full(burst)
            });
        }
        let asked = self.domains.entry(source.to_owned());
        let asked = asked.or_insert_with(|| Asked {
            bucket: TokenBucket::full(burst, now),
            last_held: now,
        });
        let bucket = &mut asked.bucket;
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
        let Some(asked) = self.domains.get_mut(source) else {
            return Duration::ZERO;
        };
        let turn = asked.last_held.max(now) + Duration::from_secs(1) / QUESTIONS.1;
        let wait = turn - now;
        if wait > LONGEST_HOLD {
            return Duration::ZERO;
        }
        asked.last_held = turn;
        wait
    }

    /// Forgets the domains that are gone.
    pub fn retain_sources(&mut self, exists: impl Fn(&str) -> bool) {
        self.domains.retain(|source, _| exists(source));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn questions_have_a_limit_even_when_they_are_refused() {
        let mut questions = Questions::default();
        let asked = (0..50_000).filter(|_| questions.ask("bad", at(0)).is_ok());
        assert_eq!(asked.count(), QUESTIONS.0 as usize);
        assert!(questions.ask("good", at(0)).is_ok());
        let asked = (0..50_000).filter(|_| questions.ask("bad", at(1)).is_ok());
        assert_eq!(asked.count(), QUESTIONS.1 as usize);
    }

    #[test]
    fn refusals_of_a_flood_leave_one_after_the_other_and_those_of_others_at_once() {
        let mut questions = Questions::default();
        let _ = questions.ask("bad", at(0));
        let _ = questions.ask("good", at(0));
        let held: Vec<_> = (0..3).map(|_| questions.hold("bad", at(5))).collect();
        assert_eq!(held, [2, 4, 6].map(Duration::from_millis));
        assert_eq!(questions.hold("good", at(5)), Duration::from_millis(2));
        // A domain that has more open than a qrexec daemon would let it gains nothing by that.
        let held: Vec<_> = (0..5_000).map(|_| questions.hold("bad", at(5))).collect();
        let longest = held.iter().max().copied();
        assert_eq!(longest, Some(LONGEST_HOLD));
        assert_eq!(held.last(), Some(&Duration::ZERO));
        assert_eq!(questions.hold("bad", at(9)), Duration::from_millis(2));
    }
}
