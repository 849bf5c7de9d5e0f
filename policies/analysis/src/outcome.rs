// SPDX-License-Identifier: GPL-3.0-or-later
//! What becomes of calls, in small numbers: terms and questions are interned, so that outcomes compare at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;

use crate::bits::Bits;

/// What becomes of a call, as far as it can be compared between policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Deny {
        notify: bool,
    },
    /// `to` is a column; `None` where the call goes where it was meant to go.
    Allow {
        to: Option<u32>,
        terms: u32,
    },
    Ask {
        question: u32,
        terms: u32,
    },
}

/// How a call runs: the user, whether a halted target is started, whether the user is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Terms {
    pub user: Option<Box<str>>,
    pub autostart: bool,
    pub notify: bool,
}

/// The list that the user chooses from, with the caller itself, which is never offered (unless
/// it is all there is), and the column offered first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub choices: Bits,
    pub default: Option<usize>,
}

/// The values behind the numbers in outcomes; shared by what is to be compared.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub terms: Numbered<Terms>,
    pub questions: Numbered<Question>,
}

/// Values by number, each once.
#[derive(Debug)]
pub(crate) struct Numbered<T> {
    numbers: HashMap<T, u32, RandomState>,
    values: Vec<T>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self {
            numbers: HashMap::default(),
            values: Vec::new(),
        }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Numbered<T> {
    pub fn of(&mut self, value: T) -> u32 {
        match self.numbers.entry(value) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let number = self.values.len() as u32;
                self.values.push(new.key().clone());
                *new.insert(number)
            }
        }
    }

    pub fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    /// Takes other values as well; returns the number of each by the one it had.
    fn add(&mut self, other: Self) -> Vec<u32> {
        other
            .values
            .into_iter()
            .map(|value| self.of(value))
            .collect()
    }
}

impl Values {
    /// Takes other values as well.
    pub fn add(&mut self, other: Self) -> Renumbered {
        Renumbered {
            terms: self.terms.add(other.terms),
            questions: self.questions.add(other.questions),
        }
    }
}

/// The numbers of values that were added to others, by those they had before.
pub(crate) struct Renumbered {
    terms: Vec<u32>,
    questions: Vec<u32>,
}

impl Renumbered {
    pub fn apply(&self, outcome: &mut Outcome) {
        match outcome {
            Outcome::Deny { .. } => {}
            Outcome::Allow { terms, .. } => *terms = self.terms[*terms as usize],
            Outcome::Ask { question, terms } => {
                *question = self.questions[*question as usize];
                *terms = self.terms[*terms as usize];
            }
        }
    }
}
