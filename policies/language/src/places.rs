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
/// number there, which keeps them in the processor's cache; where more words differ than there are
/// numbers, the position has the word of every row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    count: usize,
    numbers: Vec<u8>,
    words: Vec<Vec<u64>>,
}

/// So many words have numbers.
const NUMBERED: usize = 1 << u8::BITS;

/// The numbers that words have at their positions, while rows are added.
pub(crate) type Numbers = Map<(usize, u64), u8>;

/// One of these rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    rows: &'a Rows,
    number: usize,
}

impl Rows {
    /// Adds a row and returns its number.
    pub fn push(&mut self, places: &[&Places], width: usize, known: &mut Numbers) -> usize {
        let mut row = vec![0; width];
        for (word, bits) in places.iter().flat_map(|places| &places.0) {
            row[*word as usize] |= bits;
        }
        self.words.resize_with(width, Vec::new);
        for (at, bits) in row.into_iter().enumerate() {
            let words = &mut self.words[at];
            let number = known.get(&(at, bits)).copied();
            if number.is_none() && words.len() == NUMBERED {
                let numbers = self.numbers[at..].iter().step_by(width);
                *words = numbers.map(|number| words[usize::from(*number)]).collect();
            }
            if number.is_none() || words.len() > NUMBERED {
                known.insert((at, bits), words.len() as u8);
                words.push(bits);
            }
            let number = number.unwrap_or((words.len() - 1) as u8);
            self.numbers.push(number);
        }
        self.count += 1;
        self.count - 1
    }

    pub fn get(&self, number: usize) -> Known<'_> {
        Known { rows: self, number }
    }
}

impl Known<'_> {
    fn word(&self, word: u32) -> u64 {
        let (at, words) = (word as usize, &self.rows.words[word as usize]);
        if words.len() > NUMBERED {
            return words[self.number];
        }
        let number = self.rows.numbers[self.number * self.rows.words.len() + at];
        words[usize::from(number)]
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A row with this word at this position.
    fn places(at: usize, word: u64) -> Places {
        let mut places = Places::default();
        let bits = (0..64).filter(|bit| word >> bit & 1 == 1);
        bits.for_each(|bit| places.push(at * 64 + bit));
        places
    }

    #[test]
    fn more_words_than_there_are_numbers_are_kept_too() {
        for kinds in [1, 3, 255, 256, 257, 258, 600] {
            let word = |row: u64| (row * 7) % kinds;
            let (mut rows, mut known) = (Rows::default(), Numbers::default());
            for row in 0..600 {
                let here = [places(0, row % 5), places(1, word(row)), places(2, 1)];
                let number = rows.push(&here.each_ref(), 3, &mut known);
                assert_eq!(number, row as usize);
            }
            for row in 0..600 {
                let kept = rows.get(row as usize);
                let words = [0, 1, 2].map(|at| kept.word(at));
                assert_eq!(words, [row % 5, word(row), 1], "{kinds} words, row {row}");
            }
        }
    }

    #[test]
    fn the_first_of_two_lists_is_found_wherever_it_stands() {
        let all = Row::Any(vec![]);
        assert_eq!(places(0, 1).first_in(None, &all, &all), None);
        let every: Vec<Places> = (0..4).map(|at| places(at, u64::MAX)).collect();
        let every = Row::Any(every.iter().collect());
        for (these, others, first) in [
            (places(0, 0b100), places(0, 0b10), Some(1)),
            (places(0, 0b10), places(2, 1), Some(1)),
            (places(3, 1), places(2, 1), Some(128)),
            (places(1, 1), Places::default(), Some(64)),
            (Places::default(), places(3, 2), Some(193)),
            (Places::default(), Places::default(), None),
        ] {
            assert_eq!(these.first_in(Some(&others), &every, &every), first);
        }
    }
}
