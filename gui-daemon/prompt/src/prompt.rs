// SPDX-License-Identifier: GPL-3.0-or-later
//! The questions that wait, and the one in view.

use std::collections::VecDeque;
use std::time::Duration;

use policy_agent_protocol::{Answer, Choice, Lasting, Unanswered};

use crate::question::{Question, Target};

#[cfg(test)]
mod tests;

/// How long a question is in view before anything the user does counts.
pub const GUARD: Duration = Duration::from_millis(500);
/// How long a question waits, in view or not, before it is refused. The policy daemon's own
/// patience is a little longer.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How many questions wait at most; the policy daemon asks no more than that.
pub const WAITING_MAX: usize = 64;

/// Names a question for as long as it waits. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QuestionId(pub u64);

/// What the user does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Narrows the targets.
    Search(String),
    /// Picks a target.
    Select(Choice),
    /// Says for how long the answer is to count.
    Keep(Lasting),
    /// Agrees, to the target that is picked.
    Allow,
    /// Refuses.
    Refuse,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Effect {
    /// Answer a question.
    Answer(QuestionId, Answer),
    /// Show the question that is in view now, as if it had come with a window of its own.
    Show,
    /// Show what the user changed.
    Refresh,
    /// Show nothing: no question waits.
    Hide,
}

/// The questions of one session.
#[derive(Debug, Default)]
pub struct Prompt {
    /// The first is the one in view.
    waiting: VecDeque<Waiting>,
    view: View,
}

#[derive(Debug)]
struct Waiting {
    id: QuestionId,
    question: Question,
    end: Duration,
}

/// What the user did for the question in view.
#[derive(Debug, Default)]
struct View {
    /// Since when it is on the screen.
    painted: Option<Duration>,
    focused: Duration,
    search: String,
    selected: Option<Choice>,
    keep: Lasting,
}

impl Prompt {
    /// Takes a question that came `now` and lasts for `patience`.
    pub fn asked(
        &mut self,
        id: QuestionId,
        question: Question,
        patience: Duration,
        now: Duration,
    ) -> Vec<Effect> {
        if self.waiting.len() >= WAITING_MAX || question.targets.is_empty() {
            let answer = Answer::Unanswered(Unanswered::NotShown);
            return vec![Effect::Answer(id, answer)];
        }
        self.waiting.push_back(Waiting {
            id,
            question,
            end: now + patience,
        });
        match self.waiting.len() {
            1 => vec![self.open()],
            _ => vec![Effect::Refresh],
        }
    }

    /// Nobody waits for the answer to a question any more.
    pub fn withdrawn(&mut self, id: QuestionId) -> Vec<Effect> {
        let before = self.current_id();
        self.waiting.retain(|waiting| waiting.id != id);
        self.after(before)
    }

    /// Refuses what has waited too long.
    pub fn tick(&mut self, now: Duration) -> Vec<Effect> {
        let before = self.current_id();
        let mut effects = Vec::new();
        self.waiting.retain(|waiting| {
            let waits = now < waiting.end;
            if !waits {
                let answer = Answer::Unanswered(Unanswered::TimeOut);
                effects.push(Effect::Answer(waiting.id, answer));
            }
            waits
        });
        if !effects.is_empty() {
            effects.extend(self.after(before));
        }
        effects
    }

    /// The question in view has been drawn: only now can anybody read it.
    pub fn painted(&mut self, now: Duration) {
        if !self.waiting.is_empty() {
            self.view.painted.get_or_insert(now);
        }
    }

    /// Whether what the user does counts.
    pub fn is_open(&self, now: Duration) -> bool {
        let long_enough = |since| now.saturating_sub(since) >= GUARD;
        !self.waiting.is_empty() && self.view.painted.is_some_and(long_enough)
    }

    /// The window has got the keyboard: keys that were meant for another window may follow.
    pub fn focused(&mut self, now: Duration) {
        self.view.focused = now;
    }

    /// Whether keys count: those of somebody who has had time to see where they go.
    pub fn takes_keys(&self, now: Duration) -> bool {
        self.is_open(now) && now.saturating_sub(self.view.focused) >= GUARD
    }

    /// Takes what the user does. Before [`GUARD`] has passed it is nothing.
    pub fn input(&mut self, input: Input, now: Duration) -> Vec<Effect> {
        let mut effects = self.tick(now);
        if !self.is_open(now) {
            return effects;
        }
        let Some(Waiting { id, question, .. }) = self.waiting.front() else {
            return effects;
        };
        let id = *id;
        let answer = match input {
            Input::Search(search) => {
                self.view.search = search;
                let seen = |choice: &Choice| self.targets().any(|seen| seen.choice == *choice);
                if !self.view.selected.as_ref().is_some_and(seen) {
                    self.view.selected = None;
                }
                None
            }
            Input::Select(choice) => {
                if self.targets().any(|target| target.choice == choice) {
                    self.view.selected = Some(choice);
                }
                None
            }
            Input::Keep(lasting) => {
                if question.lasting.contains(&lasting) {
                    self.view.keep = lasting;
                }
                None
            }
            Input::Allow => {
                let chosen = self.view.selected.clone();
                chosen.map(|choice| Answer::Allow(choice, self.view.keep))
            }
            Input::Refuse => Some(Answer::Deny(self.view.keep)),
        };
        match answer {
            Some(answer) => {
                effects.push(Effect::Answer(id, answer));
                self.waiting.pop_front();
                effects.extend(self.after(Some(id)));
            }
            None => effects.push(Effect::Refresh),
        }
        effects
    }

    /// The question in view.
    pub fn question(&self) -> Option<&Question> {
        self.waiting.front().map(|waiting| &waiting.question)
    }

    /// How many wait behind it.
    pub fn behind(&self) -> usize {
        self.waiting.len().saturating_sub(1)
    }

    /// The targets in view.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let all = self
            .question()
            .map_or(&[][..], |question| &question.targets);
        all.iter()
            .filter(|target| target.matches(&self.view.search))
    }

    /// The target that is picked.
    pub fn selected(&self) -> Option<&Choice> {
        self.view.selected.as_ref()
    }

    /// For how long the answer is to count.
    pub fn keep(&self) -> Lasting {
        self.view.keep
    }

    /// How long the question in view still waits.
    pub fn left(&self, now: Duration) -> Option<Duration> {
        let waiting = self.waiting.front()?;
        Some(waiting.end.saturating_sub(now))
    }

    fn current_id(&self) -> Option<QuestionId> {
        self.waiting.front().map(|waiting| waiting.id)
    }

    /// What to show when the question `before` was in view.
    fn after(&mut self, before: Option<QuestionId>) -> Vec<Effect> {
        match self.current_id() {
            None if before.is_some() => {
                self.view = View::default();
                vec![Effect::Hide]
            }
            None => Vec::new(),
            id if id == before => vec![Effect::Refresh],
            Some(_) => vec![self.open()],
        }
    }

    /// Brings the first question into view, untouched.
    fn open(&mut self) -> Effect {
        let sole = |question: &Question| match &question.targets[..] {
            [only] => Some(only.choice.clone()),
            _ => None,
        };
        let selected = self
            .question()
            .and_then(|question| question.default_target.clone().or_else(|| sole(question)));
        self.view = View {
            selected,
            ..View::default()
        };
        Effect::Show
    }
}
