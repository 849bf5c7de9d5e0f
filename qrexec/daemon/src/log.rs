// SPDX-License-Identifier: GPL-3.0-or-later
//! A log that a guest cannot fill.
//!
//! Most lines are about something that the guest has done, and it may do it as often as it likes. Calls that
//! were decided stand in the policy daemon's ledger; a line left out here is counted and no loss.

use std::io::{self, Stderr, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::OptionalWriter;

/// How many lines may be written at once after a rest.
const BURST: u32 = 5000;
/// In which time there is room for one more.
const LINE_EVERY: Duration = Duration::from_millis(100);

/// Standard error, for no more than so many lines.
#[derive(Debug)]
pub struct Log {
    begun: Instant,
    room: Mutex<Room>,
}

impl Log {
    /// A log with all its room.
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            room: Mutex::new(Room::new()),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = OptionalWriter<Stderr>;

    fn make_writer(&'a self) -> Self::Writer {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left_out) = room.take(self.begun.elapsed()) else {
            return OptionalWriter::none();
        };
        if left_out > 0 {
            // Who cannot read the log misses this too.
            let _ = writeln!(io::stderr(), "{left_out} lines were left out");
        }
        OptionalWriter::some(io::stderr())
    }
}

/// Room for lines, which comes back with time.
#[derive(Debug)]
struct Room {
    lines: u32,
    /// Up to when it was filled.
    filled: Duration,
    left_out: u64,
}

impl Room {
    fn new() -> Self {
        Self {
            lines: BURST,
            filled: Duration::ZERO,
            left_out: 0,
        }
    }

    /// Room for a line at a time since the beginning: how many were left out before it. `None`: this
    /// one is.
    fn take(&mut self, now: Duration) -> Option<u64> {
        let passed = now.saturating_sub(self.filled);
        let more = passed.as_nanos() / LINE_EVERY.as_nanos();
        let more = u32::try_from(more).unwrap_or(u32::MAX).min(BURST);
        if more == BURST {
            self.filled = now;
        } else {
            self.filled += LINE_EVERY * more;
        }
        self.lines = self.lines.saturating_add(more).min(BURST);
        match self.lines.checked_sub(1) {
            Some(left) => {
                self.lines = left;
                Some(std::mem::take(&mut self.left_out))
            }
            None => {
                self.left_out += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_off_and_what_was_left_out_is_told_with_the_next_line() {
        let mut room = Room::new();
        let at = Duration::from_millis;
        let written = (0..100_000).filter(|_| room.take(at(5)).is_some()).count();
        assert_eq!(written, BURST as usize);
        assert_eq!(room.take(at(99)), None);
        assert_eq!(room.take(at(100)), Some(95_001));
        assert_eq!(room.take(at(199)), None);
        assert_eq!(room.take(at(200)), Some(1));
        // A rest gives all of it back, and no more than that.
        let later = Duration::MAX;
        let written = (0..100_000).filter(|_| room.take(later).is_some()).count();
        assert_eq!(written, BURST as usize);
    }

    #[test]
    fn who_floods_for_an_hour_writes_ten_lines_a_second() {
        let mut room = Room::new();
        let times = (0..3_600_000).map(Duration::from_millis);
        let written = times.filter(|now| room.take(*now).is_some()).count();
        assert_eq!(written, BURST as usize + 10 * 3600 - 1);
    }
}
