// SPDX-License-Identifier: GPL-3.0-or-later
//! Refusals by quota that are more than can be written down one by one. No I/O.

use std::collections::BTreeMap;

/// So many of a domain are written down between two counts.
const WRITTEN: u64 = 10;

/// What was refused since the last count.
#[derive(Debug, Default)]
pub(crate) struct Flood(BTreeMap<String, u64>);

impl Flood {
    /// Counts a refusal; whether it is to be written down itself.
    pub fn count(&mut self, source: &str) -> bool {
        let count = self.0.entry(source.to_owned()).or_default();
        *count += 1;
        *count <= WRITTEN
    }

    /// Begins a new count: who was refused more often than was written down, and how often.
    pub fn take(&mut self) -> Vec<(String, u64)> {
        let counts = std::mem::take(&mut self.0).into_iter();
        let more = counts.filter(|(_, count)| *count > WRITTEN);
        more.map(|(source, count)| (source, count - WRITTEN))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_written_and_the_rest_is_counted() {
        let mut flood = Flood::default();
        assert_eq!((0..100).filter(|_| flood.count("bad")).count(), 10);
        assert!(flood.count("good"));
        assert_eq!(flood.take(), [("bad".to_owned(), 90)]);
        assert!(flood.take().is_empty() && flood.count("bad"));
    }
}
