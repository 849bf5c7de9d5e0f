// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the user answered.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::choice::Choice;

/// The most bytes of an answer.
pub const ANSWER_MAX: usize = 256;

/// For how long an answer counts.
///
/// It counts for the same source, service, argument and requested target only, and never
/// beyond the source's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lasting {
    /// For the one call.
    #[default]
    #[serde(rename = "once")]
    Once,
    /// For ten minutes.
    #[serde(rename = "10m")]
    TenMinutes,
    /// Until the source stops.
    #[serde(rename = "running")]
    WhileRunning,
}

impl Lasting {
    /// Each of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Once, Self::TenMinutes, Self::WhileRunning];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::TenMinutes => "10m",
            Self::WhileRunning => "running",
        }
    }

    /// How long that is at most, where time ends it.
    pub fn limit(self) -> Option<Duration> {
        match self {
            Self::Once => Some(Duration::ZERO),
            Self::TenMinutes => Some(Duration::from_secs(600)),
            Self::WhileRunning => None,
        }
    }
}

/// Why the user did not answer a question that the agent refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The time was up.
    TimeOut,
    /// It was not shown: too many wait, or there was nothing to choose from.
    NotShown,
}

impl Unanswered {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::TimeOut, Self::NotShown];

    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::TimeOut => "time-out",
            Self::NotShown => "not-shown",
        }
    }
}

/// The user's answer, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// The call may be made, to this target.
    Allow(Choice, Lasting),
    /// It may not.
    Deny(Lasting),
    /// It may not, and the user has not said so.
    Unanswered(Unanswered),
}

/// Bytes that are no answer. The call is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadAnswer {
    /// The agent hung up, or took the question for none.
    #[error("the agent gave no answer")]
    Empty,
    /// Neither `allow:TARGET` nor `deny`.
    #[error("the agent's answer is neither `allow:TARGET` nor `deny`")]
    Unknown,
    /// A target that no domain can be.
    #[error("the agent's answer names no target")]
    Target,
    /// A time that was not offered.
    #[error("the agent's answer is to be kept for a time that was not offered")]
    Lasting,
}

impl Answer {
    /// For how long it counts.
    pub fn lasting(&self) -> Lasting {
        match self {
            Self::Allow(_, lasting) | Self::Deny(lasting) => *lasting,
            Self::Unanswered(_) => Lasting::Once,
        }
    }

    /// The bytes on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = match self {
            Self::Allow(choice, _) => format!("allow:{choice}"),
            Self::Deny(_) => "deny".to_owned(),
            // Whoever does not know this takes it for no answer, which refuses too.
            Self::Unanswered(why) => format!("deny\nbecause={}", why.word()),
        };
        if self.lasting() != Lasting::Once {
            text.push_str(&format!("\nfor={}", self.lasting().word()));
        }
        text.into_bytes()
    }

    /// Reads an answer, which may be kept for as long as one of `offered`, or for one call.
    ///
    /// # Errors
    ///
    /// Anything else than the bytes that [`Self::encode`] writes.
    pub fn decode(bytes: &[u8], offered: &[Lasting]) -> Result<Self, BadAnswer> {
        if bytes.is_empty() {
            return Err(BadAnswer::Empty);
        }
        if bytes.len() > ANSWER_MAX {
            return Err(BadAnswer::Unknown);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| BadAnswer::Unknown)?;
        if let Some(word) = text.strip_prefix("deny\nbecause=") {
            let mut known = Unanswered::ALL.into_iter();
            let why = known.find(|known| known.word() == word);
            return why.map(Self::Unanswered).ok_or(BadAnswer::Unknown);
        }
        let (word, lasting) = match text.split_once("\nfor=") {
            None => (text, Lasting::Once),
            Some((word, kept)) => {
                let mut offered = offered.iter().filter(|known| **known != Lasting::Once);
                let lasting = offered.find(|known| known.word() == kept);
                (word, *lasting.ok_or(BadAnswer::Lasting)?)
            }
        };
        if word == "deny" {
            return Ok(Self::Deny(lasting));
        }
        let target = word.strip_prefix("allow:").ok_or(BadAnswer::Unknown)?;
        let target = target.parse().map_err(|_| BadAnswer::Target)?;
        Ok(Self::Allow(target, lasting))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_as_it_was_sent() {
        for text in ["work", "dom0", "@dispvm:base"] {
            for lasting in Lasting::ALL {
                let choice: Choice = text.parse().unwrap();
                for answer in [Answer::Allow(choice, lasting), Answer::Deny(lasting)] {
                    let bytes = answer.encode();
                    assert_eq!(Answer::decode(&bytes, &Lasting::ALL), Ok(answer));
                }
            }
        }
    }

    #[test]
    fn what_the_user_did_not_say_is_no_refusal_of_the_user() {
        for why in Unanswered::ALL {
            let answer = Answer::Unanswered(why);
            assert!(answer.encode().starts_with(b"deny\n"));
            assert_eq!(Answer::decode(&answer.encode(), &[]), Ok(answer));
        }
    }

    #[test]
    fn agents_that_know_nothing_of_times_are_understood() {
        let work = Choice::Domain("work".parse().unwrap());
        let answer = Answer::Allow(work, Lasting::Once);
        assert_eq!(answer.encode(), b"allow:work");
        assert_eq!(Answer::decode(b"allow:work", &[]), Ok(answer));
        assert_eq!(
            Answer::decode(b"deny", &[]),
            Ok(Answer::Deny(Lasting::Once))
        );
    }

    #[test]
    fn anything_else_is_no_answer() {
        use BadAnswer as E;
        for (bytes, error) in [
            (&b""[..], E::Empty),
            (b"allow", E::Unknown),
            (b"allow ", E::Unknown),
            (b"ALLOW:work", E::Unknown),
            (b"deny\n", E::Unknown),
            (b"deny ", E::Unknown),
            (b"deny\nbecause=", E::Unknown),
            (b"deny\nbecause=time-out\n", E::Unknown),
            (b"allow:work\nbecause=time-out", E::Target),
            (b"denyallow:work", E::Unknown),
            (b"\xffdeny", E::Unknown),
            (b"allow:", E::Target),
            (b"allow:work\n", E::Target),
            (b"allow:work\ndeny", E::Target),
            (b"allow: work", E::Target),
            (b"allow:@dispvm", E::Target),
            (b"allow:@dispvm:", E::Target),
            (b"allow:@anyvm", E::Target),
            (b"allow:work\nfor=running", E::Lasting),
            (b"allow:work\nfor=once", E::Lasting),
            (b"allow:work\nfor=10m\nfor=10m", E::Lasting),
        ] {
            let offered = [Lasting::Once, Lasting::TenMinutes];
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(Answer::decode(bytes, &offered), Err(error), "{text:?}");
        }
        let long = format!("allow:{}", "a".repeat(ANSWER_MAX));
        assert_eq!(Answer::decode(long.as_bytes(), &[]), Err(E::Unknown));
    }
}
