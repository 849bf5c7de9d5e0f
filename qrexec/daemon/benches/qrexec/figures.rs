// SPDX-License-Identifier: GPL-3.0-or-later
//! Samples, and how they are told.

use std::time::Duration;

/// Times of one kind of work.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time that this share of all samples does not exceed, in microseconds.
    pub fn percentile(&mut self, share: f64) -> f64 {
        self.0.sort_unstable();
        let last = self.0.len() - 1;
        let at = (last as f64 * share).round() as usize;
        self.0[at.min(last)].as_secs_f64() * 1e6
    }
}

/// The middle one of a few figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// How many times the second figure goes into the first, if there are two.
pub fn ratio(figures: &[f64]) -> String {
    match figures {
        [ours, theirs] => format!("  {:6.2} ×", ours / theirs),
        _ => String::new(),
    }
}
