// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether the policy daemon is there, and when the user is told that it is not.

use std::time::Duration;

/// How long it is away before that is told: one that is started anew at once is nobody's worry.
const GRACE: Duration = Duration::from_secs(2);
/// How long it is waited for at the session's start, when it may only be on its way.
const START: Duration = Duration::from_secs(60);
/// How long its absence is not told again, however often it comes and goes.
const PAUSE: Duration = Duration::from_secs(60);

/// What the user is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It is away.
    Away,
    /// It is back.
    Back,
}

impl Word {
    /// The words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Away => "Policy does not answer: every call is refused until it is back",
            Self::Back => "Policy answers again",
        }
    }
}

/// What was seen of the policy daemon, look after look.
#[derive(Debug, Default)]
pub struct PolicyWatch {
    /// Whether it has ever been there.
    known: bool,
    away_since: Option<Duration>,
    /// Whether the user was told of this absence.
    told: bool,
    last_told: Option<Duration>,
}

impl PolicyWatch {
    /// Takes a look at which it was there or not; gives what is to be told now.
    pub fn looked(&mut self, is_there: bool, now: Duration) -> Option<Word> {
        if is_there {
            self.known = true;
            self.away_since = None;
            return std::mem::take(&mut self.told).then_some(Word::Back);
        }
        let away = now.saturating_sub(*self.away_since.get_or_insert(now));
        let grace = if self.known { GRACE } else { START };
        let recent = |told| now.saturating_sub(told) < PAUSE;
        if self.told || away < grace || self.last_told.is_some_and(recent) {
            return None;
        }
        self.told = true;
        self.last_told = Some(now);
        Some(Word::Away)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// What is told when it is looked once a second; `.` is a look at which it was there.
    fn told(looks: &str) -> Vec<(u32, Word)> {
        let mut watch = PolicyWatch::default();
        let looks = (0..).zip(looks.chars());
        looks
            .filter_map(|(second, look)| {
                let word = watch.looked(look == '.', second * SECOND);
                Some((second, word?))
            })
            .collect()
    }

    #[test]
    fn an_absence_is_told_once_and_so_is_its_end() {
        assert_eq!(told("..xxxxxx..."), [(4, Word::Away), (8, Word::Back)]);
    }

    #[test]
    fn one_that_is_started_anew_at_once_is_not_told_of() {
        assert_eq!(told("..xx..xx.."), []);
    }

    #[test]
    fn at_the_sessions_start_it_has_a_minute() {
        let late = format!("{}.", "x".repeat(60));
        assert_eq!(told(&late), []);
        let never = "x".repeat(70);
        assert_eq!(told(&never), [(60, Word::Away)]);
    }

    #[test]
    fn one_that_comes_and_goes_is_told_of_once_a_minute_and_one_that_stays_away_then() {
        let looks = format!(".{}", "xxxx..".repeat(8));
        assert_eq!(told(&looks), [(3, Word::Away), (5, Word::Back)]);
        let looks = format!(".xxx.{}", "x".repeat(70));
        let expected = [(3, Word::Away), (4, Word::Back), (63, Word::Away)];
        assert_eq!(told(&looks), expected);
    }

    proptest! {
        #[test]
        fn words_come_by_turns_and_not_often(looks in "[.x]{1,400}") {
            let told = told(&looks);
            for pair in told.windows(2) {
                prop_assert!(pair[0].1 != pair[1].1, "the same twice");
            }
            let away: Vec<_> = told.iter().filter(|(_, word)| *word == Word::Away).collect();
            for pair in away.windows(2) {
                prop_assert!((pair[1].0 - pair[0].0) * SECOND >= PAUSE);
            }
        }
    }
}
