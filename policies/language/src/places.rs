// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sets of places of rules, sixty-four to a word.

use bulkhead_policy_system::Map;

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

    /// The lowest of these or others that is in two rows as well. A word that both have is read
    /// from the rows once.
    pub fn first_in(&self, others: Option<&Self>, one: &Row<'_>, other: &Row<'_>) -> Option<usize> {
        let mut these = self.0.as_slice();
        let mut others = others.map_or(&[][..], |others| &others.0);
        loop {
            let (word, bits);
            (word, bits, these, others) = match (these, others) {
                ([a, these @ ..], [b, others @ ..]) if a.0 == b.0 => {
                    (a.0, a.1 | b.1, these, others)
                }
                ([a, these @ ..], [b, ..]) if a.0 < b.0 => (a.0, a.1, these, others),
                (_, [b, others @ ..]) => (b.0, b.1, these, others),
                ([a, these @ ..], []) => (a.0, a.1, these, others),
                ([], []) => return None,
            };
            let met = one.word(word) & other.word(word) & bits;
            if met != 0 {
                return Some(word as usize * 64 + met.trailing_zeros() as usize);
            }
        }
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

/// Rows that are put together before they are used, with a word for every sixty-four places. At
/// one position few words differ among the rows. So each is kept once and the rows name it by its
/// number there, which keeps them in the processor's cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    count: u32,
    numbers: Vec<u16>,
    words: Vec<Vec<u64>>,
}

/// The numbers that words have at their positions, while rows are added.
pub(crate) type Numbers = Map<(usize, u64), u16>;

/// One of these rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    rows: &'a Rows,
    start: usize,
}

impl Rows {
    /// Adds a row and returns its number; `None` when there are more words than numbers for them.
    pub fn push(&mut self, places: &[&Places], width: usize, known: &mut Numbers) -> Option<u32> {
        let mut row = vec![0; width];
        for (word, bits) in places.iter().flat_map(|places| &places.0) {
            row[*word as usize] |= bits;
        }
        self.words.resize_with(width, Vec::new);
        for (at, bits) in row.into_iter().enumerate() {
            let next = u16::try_from(self.words[at].len()).ok()?;
            let number = *known.entry((at, bits)).or_insert(next);
            if number == next {
                self.words[at].push(bits);
            }
            self.numbers.push(number);
        }
        self.count += 1;
        Some(self.count - 1)
    }

    pub fn get(&self, number: usize) -> Known<'_> {
        let start = number * self.words.len();
        Known { rows: self, start }
    }
}

impl Known<'_> {
    fn word(&self, word: u32) -> u64 {
        let number = self.rows.numbers[self.start + word as usize];
        self.rows.words[word as usize][usize::from(number)]
    }
}

/// The places of all rules that mean one caller, or one target.
#[derive(Debug)]
pub(crate) enum Row<'a> {
    /// Put together before.
    Known(Known<'a>),
    /// What is in either.
    Both(Known<'a>, Known<'a>),
    /// What is in any of these.
    Any(Vec<&'a Places>),
}

impl Row<'_> {
    fn word(&self, word: u32) -> u64 {
        match self {
            Self::Known(row) => row.word(word),
            Self::Both(one, other) => one.word(word) | other.word(word),
            Self::Any(all) => all.iter().fold(0, |bits, places| bits | places.word(word)),
        }
    }
}
