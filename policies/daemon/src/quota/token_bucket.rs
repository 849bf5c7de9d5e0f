// SPDX-License-Identifier: GPL-3.0-or-later
//! A token bucket: so many permissions at once, and so many more with time.

use std::time::Duration;

/// A permission, so that a microsecond at one a minute is a whole number.
const WHOLE: u64 = 60_000_000;

/// A bucket of permissions that fills with time.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenBucket {
    /// In parts of [`WHOLE`].
    level: u64,
    seen: Duration,
}

impl TokenBucket {
    /// One that holds all it can.
    pub fn full(burst: u32, now: Duration) -> Self {
        Self {
            level: u64::from(burst) * WHOLE,
            seen: now,
        }
    }

    /// Adds what has come since it was last seen.
    pub fn fill(&mut self, burst: u32, per_minute: u32, now: Duration) {
        let passed = now.saturating_sub(self.seen).as_micros();
        let gained = passed.saturating_mul(u128::from(per_minute));
        let gained = u64::try_from(gained).unwrap_or(u64::MAX);
        self.level = self
            .level
            .saturating_add(gained)
            .min(u64::from(burst) * WHOLE);
        self.seen = self.seen.max(now);
    }

    /// Takes a permission, if there is one.
    pub fn take(&mut self) -> bool {
        let enough = self.level >= WHOLE;
        if enough {
            self.level -= WHOLE;
        }
        enough
    }

    /// How many permissions there are.
    pub fn left(self) -> u64 {
        self.level / WHOLE
    }

    /// Whether it holds all it can.
    pub fn is_full(self, burst: u32) -> bool {
        self.level >= u64::from(burst) * WHOLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_away() {
        let mut bucket = TokenBucket::full(2, at(100));
        assert!(bucket.take() && bucket.take());
        bucket.fill(2, 60, at(10));
        assert!(!bucket.take());
        bucket.fill(2, 60, at(101));
        assert!(bucket.take() && !bucket.take());
        bucket.fill(2, u32::MAX, Duration::MAX);
        assert!(bucket.take() && bucket.take() && !bucket.take());
    }
}
