// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sets of places of rules, sixty-four to a word.

/// A set of places, of which only the words that are not empty are kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places(Vec<(u32, u64)>);

impl Places {
    /// Adds a place; places come in their order.
    pub fn push(&mut self, place: usize) {
        let (word, bit) = ((place / 64) as u32, 1 << (place % 64));
        match self.0.last_mut() {
            Some((last, bits)) if *last == word => *bits |= bit,
            _ => self.0.push((word, bit)),
        }
    }

    /// Adds these to a row that has a bit for every place.
    pub fn add_to(&self, row: &mut [u64]) {
        for (word, bits) in &self.0 {
            row[*word as usize] |= bits;
        }
    }

    /// The lowest of these that is in two rows as well.
    pub fn first_in(&self, one: &Row<'_>, other: &Row<'_>) -> Option<usize> {
        self.0.iter().find_map(|(word, bits)| {
            let met = one.word(*word) & other.word(*word) & bits;
            (met != 0).then(|| *word as usize * 64 + met.trailing_zeros() as usize)
        })
    }

    /// Those of these that are in a row as well.
    pub fn all_in<'a>(&'a self, row: &'a Row<'_>) -> impl Iterator<Item = usize> + 'a {
        self.0.iter().flat_map(move |(word, bits)| {
            let met = row.word(*word) & bits;
            let there = (0..64).filter(move |bit| met >> bit & 1 == 1);
            there.map(move |bit| *word as usize * 64 + bit)
        })
    }

    fn word(&self, word: u32) -> u64 {
        match self.0.binary_search_by_key(&word, |(word, _)| *word) {
            Ok(at) => self.0[at].1,
            Err(_) => 0,
        }
    }
}

/// The places of all rules that mean one caller, or one target.
#[derive(Debug)]
pub(crate) enum Row<'a> {
    /// Put together before, with a bit for every place.
    Known(&'a [u64]),
    /// What is in either.
    Both(&'a [u64], &'a [u64]),
    /// What is in any of these.
    Any(Vec<&'a Places>),
}

impl Row<'_> {
    fn word(&self, word: u32) -> u64 {
        match self {
            Self::Known(row) => row[word as usize],
            Self::Both(one, other) => one[word as usize] | other[word as usize],
            Self::Any(all) => all.iter().fold(0, |bits, places| bits | places.word(word)),
        }
    }
}
