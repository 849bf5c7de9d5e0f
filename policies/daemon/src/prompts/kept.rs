// SPDX-License-Identifier: GPL-3.0-or-later
//! Answers that the user wants kept: for ten minutes, or until the source stops.
//!
//! An answer counts for one question, and the question is all of its [`Key`]: another
//! argument, another target, or the same domain started again is another question. Time is
//! the time since boot.

use std::collections::HashMap;
use std::time::Duration;

use bulkhead_policy::{System, Target};
use bulkhead_types::{DomainName, DomainUuid};
use policy_agent_protocol::Lasting;
use serde::{Deserialize, Serialize};

use super::choice::Chosen;
use super::runs::Runs;
use crate::decide::Asked;

/// How many answers are kept; nobody gives more in the time that they last.
const ANSWERS_MAX: usize = 1024;

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    /// Who asks.
    pub(super) source: DomainName,
    /// Its UUID, which a later domain of that name does not have.
    pub(super) uuid: Option<DomainUuid>,
    /// Its present run. Without one nothing is kept.
    pub(super) run: Option<u32>,
    /// The service with its argument.
    pub(super) service: String,
    /// What was asked for, and the UUID of the domain that was meant.
    pub(super) requested: (String, Option<DomainUuid>),
}

/// The key of a question as things are now. Once the source has stopped, or another domain
/// has got its name, it is another key than before.
pub(crate) fn key(asked: &Asked, system: Option<&System>, runs: &Runs) -> Key {
    let source = &asked.source.name;
    let present = system.and_then(|system| system.get(source));
    let requested = asked.question.requested();
    let meant = match requested {
        Target::Domain { domain, .. } => Some(domain),
        Target::DispVmOf { template, .. } => Some(template),
        Target::Default | Target::AdminVm | Target::DispVm => None,
    };
    Key {
        source: source.clone(),
        uuid: present.and_then(|domain| domain.uuid.clone()),
        run: runs.of(source),
        service: format!(
            "{}{}",
            asked.service.name(),
            asked.service.policy_argument()
        ),
        requested: (
            requested.to_string(),
            meant.and_then(|domain| domain.uuid.clone()),
        ),
    }
}

impl Key {
    /// Whether the source is still the same, in the same run.
    pub(crate) fn is_present(&self, system: Option<&System>, runs: &Runs) -> bool {
        let present = system.and_then(|system| system.get(&self.source));
        present.is_some_and(|domain| domain.uuid == self.uuid) && runs.of(&self.source) == self.run
    }
}

/// An answer that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeptAnswer {
    /// Such calls may be made, to this target.
    Allow(Chosen),
    /// They may not.
    Deny,
}

/// An answer that is kept, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KeptState {
    /// Who may or may not call.
    pub source: String,
    /// What for.
    pub service: String,
    /// What the caller asks for: a name, or a keyword.
    pub requested: String,
    /// Where such calls go; `None` when they are refused.
    pub target: Option<String>,
    /// For how many seconds it still counts; `None` is until the source stops.
    pub left: Option<u64>,
}

/// The answers that are kept.
#[derive(Debug, Default)]
pub(crate) struct KeptAnswers {
    answers: HashMap<Key, (KeptAnswer, Option<Duration>)>,
}

impl KeptAnswers {
    /// How many there are that may still count.
    pub(crate) fn len(&self) -> usize {
        self.answers.len()
    }

    /// Keeps an answer given `now`. Says no when there are too many.
    pub(super) fn keep(
        &mut self,
        key: Key,
        answer: KeptAnswer,
        lasting: Lasting,
        now: Duration,
    ) -> bool {
        self.drop_old(now);
        if self.answers.len() >= ANSWERS_MAX {
            return false;
        }
        let end = lasting.limit().map(|limit| now.saturating_add(limit));
        self.answers.insert(key, (answer, end));
        true
    }

    /// The answer that counts for a question `now`.
    pub(super) fn find(&mut self, key: &Key, now: Duration) -> Option<&KeptAnswer> {
        self.drop_old(now);
        self.answers.get(key).map(|(answer, _)| answer)
    }

    /// Forgets the answers to domains that have stopped: `is_present` says of a domain and
    /// its run whether it goes on.
    pub(crate) fn keep_running(&mut self, is_present: impl Fn(&Key) -> bool) {
        self.answers.retain(|key, _| is_present(key));
    }

    /// What counts `now`, in the order of the names.
    pub(crate) fn states(&mut self, now: Duration) -> Vec<KeptState> {
        self.drop_old(now);
        let state = |(key, (answer, end)): (&Key, &(KeptAnswer, Option<Duration>))| KeptState {
            source: key.source.to_string(),
            service: key.service.trim_end_matches('+').to_owned(),
            requested: key.requested.0.clone(),
            target: match answer {
                KeptAnswer::Allow(chosen) => Some(chosen.choice.to_string()),
                KeptAnswer::Deny => None,
            },
            left: end.map(|end| end.saturating_sub(now).as_secs()),
        };
        let mut states: Vec<_> = self.answers.iter().map(state).collect();
        states.sort();
        states
    }

    /// Forgets everything; tells how much that was.
    pub(crate) fn forget(&mut self) -> usize {
        let count = self.answers.len();
        self.answers.clear();
        count
    }

    fn drop_old(&mut self, now: Duration) {
        let counts = |end: &Option<Duration>| end.is_none_or(|end| now < end);
        self.answers.retain(|_, (_, end)| counts(end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn key() -> Key {
        let uuid = |n: u8| DomainUuid::parse(&format!("00000000-0000-4000-8000-0000000000{n:02}"));
        Key {
            source: "work".parse().unwrap(),
            uuid: uuid(1).ok(),
            run: Some(5),
            service: "qubes.Filecopy".to_owned(),
            requested: ("vault".to_owned(), uuid(2).ok()),
        }
    }

    #[test]
    fn an_answer_counts_for_its_own_question_only() {
        let mut kept = KeptAnswers::default();
        assert!(kept.keep(key(), KeptAnswer::Deny, Lasting::WhileRunning, NOW));
        assert_eq!(kept.find(&key(), NOW), Some(&KeptAnswer::Deny));
        let others: [fn(&mut Key); 6] = [
            |key| key.source = "work2".parse().unwrap(),
            |key| key.uuid = None,
            |key| key.run = Some(6),
            |key| key.service.push_str("+x"),
            |key| key.requested.0 = "@default".to_owned(),
            |key| key.requested.1 = None,
        ];
        for change in others {
            let mut other = key();
            change(&mut other);
            assert_eq!(kept.find(&other, NOW), None, "{other:?}");
        }
    }

    #[test]
    fn ten_minutes_end() {
        let mut kept = KeptAnswers::default();
        assert!(kept.keep(key(), KeptAnswer::Deny, Lasting::TenMinutes, NOW));
        let end = NOW + Duration::from_secs(600);
        assert!(kept.find(&key(), end - Duration::from_nanos(1)).is_some());
        assert!(kept.find(&key(), end).is_none());
        assert_eq!(kept.len(), 0);
        assert!(kept.find(&key(), NOW).is_none(), "what has ended stays so");
    }

    #[test]
    fn the_end_of_the_source_ends_every_answer_to_it() {
        let mut kept = KeptAnswers::default();
        let mut again = key();
        again.run = Some(6);
        for key in [key(), again] {
            assert!(kept.keep(key, KeptAnswer::Deny, Lasting::TenMinutes, NOW));
        }
        kept.keep_running(|key| key.run == Some(6));
        assert_eq!(kept.len(), 1);
        assert!(kept.find(&key(), NOW).is_none());
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let mut kept = KeptAnswers::default();
        let numbered = |n: usize| Key {
            service: format!("qubes.Filecopy+{n}"),
            ..key()
        };
        for n in 0..ANSWERS_MAX {
            assert!(kept.keep(numbered(n), KeptAnswer::Deny, Lasting::TenMinutes, NOW));
        }
        assert!(!kept.keep(key(), KeptAnswer::Deny, Lasting::WhileRunning, NOW));
        let later = NOW + Duration::from_secs(600);
        assert!(kept.keep(key(), KeptAnswer::Deny, Lasting::WhileRunning, later));
    }
}
