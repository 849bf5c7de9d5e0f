// SPDX-License-Identifier: GPL-3.0-or-later
//! How far a copy has come, for a person at a terminal.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Between two lines; also how long a copy has to take before anything is said.
const PAUSE: Duration = Duration::from_millis(200);

/// Counts what was sent and says so now and then.
#[derive(Debug)]
pub struct Meter {
    all: u64,
    sent: u64,
    next: Instant,
    shown: bool,
}

impl Meter {
    /// A meter for `all` bytes that begin to be sent now.
    pub fn new(all: u64, now: Instant) -> Self {
        Self {
            all,
            sent: 0,
            next: now + PAUSE,
            shown: false,
        }
    }

    /// Counts bytes; the line to show, if it is time for one.
    pub fn count(&mut self, bytes: u64, now: Instant) -> Option<String> {
        self.sent += bytes;
        if now < self.next {
            return None;
        }
        self.next = now + PAUSE;
        self.shown = true;
        // A file may have grown since its size was looked at.
        let all = self.all.max(self.sent).max(1);
        let share = u128::from(self.sent) * 100 / u128::from(all);
        Some(format!(
            "sent {} of {} ({share} %)",
            size(self.sent),
            size(all)
        ))
    }
}

/// Bytes in words for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

/// What all of `paths` hold. What cannot be looked at counts nothing; sending it will tell why.
pub fn contents(paths: &[PathBuf]) -> u64 {
    paths.iter().map(|path| content(path)).sum()
}

fn content(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let held = fs::read_dir(path).into_iter().flatten().flatten();
    held.map(|entry| content(&entry.path())).sum()
}

/// Shows how far a copy is as whoever started this program has asked for in `PROGRESS_TYPE`:
/// `none` says nothing, `gui` writes the number of bytes on a line of its own to the descriptor `SAVED_FD_1`,
/// anything else says it on a terminal, in relation to the number of bytes that `all` gives. To be called with
/// each piece, and with `None` at the end.
pub fn as_asked(
    all: impl FnOnce() -> u64,
    kind: Option<&str>,
    saved_output: Option<&str>,
) -> Box<dyn FnMut(Option<u64>)> {
    match (kind, saved_output) {
        (Some("none"), _) => Box::new(|_| {}),
        (Some("gui"), Some(number)) if number.bytes().all(|b| b.is_ascii_digit()) => {
            let output = File::options()
                .append(true)
                .open(format!("/proc/self/fd/{number}"));
            match output {
                Ok(output) => Box::new(in_numbers(output)),
                Err(_) => Box::new(|_| {}),
            }
        }
        _ => {
            let terminal = io::stderr().is_terminal();
            Box::new(shown(terminal.then(|| Meter::new(all(), Instant::now()))))
        }
    }
}

/// Tells a program that draws it how far the copy is.
fn in_numbers(mut output: impl io::Write) -> impl FnMut(Option<u64>) {
    let mut sent = 0;
    let mut next = Instant::now();
    move |bytes| {
        sent += bytes.unwrap_or(0);
        if bytes.is_none() || Instant::now() >= next {
            next = Instant::now() + PAUSE;
            // A window that has gone is no reason to stop.
            let _ = writeln!(output, "{sent}");
        }
    }
}

/// Shows what the meter says. The end clears the line.
fn shown(mut meter: Option<Meter>) -> impl FnMut(Option<u64>) {
    move |bytes| {
        let Some(meter) = &mut meter else { return };
        let line = match bytes {
            Some(bytes) => meter.count(bytes, Instant::now()),
            None => meter.shown.then(String::new),
        };
        if let Some(line) = line {
            // A terminal that has gone is no reason to stop.
            let _ = write!(io::stderr(), "\r{line}\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_copy_says_how_far_it_is_and_a_short_one_nothing() {
        let begun = Instant::now();
        let mut meter = Meter::new(40 << 20, begun);
        assert_eq!(meter.count(1 << 20, begun), None);
        let later = begun + PAUSE;
        let line = meter.count(9 << 20, later).unwrap();
        assert_eq!(line, "sent 10 MiB of 40 MiB (25 %)");
        assert_eq!(meter.count(1, later), None);
        // More came than was there at first.
        let line = meter.count(60 << 20, later + PAUSE).unwrap();
        assert_eq!(line, "sent 70 MiB of 70 MiB (100 %)");
    }

    #[test]
    fn a_program_that_draws_the_progress_hears_numbers() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut progress = in_numbers(file.reopen().unwrap());
        progress(Some(5));
        progress(Some(6));
        progress(None);
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "5\n11\n");
    }

    #[test]
    fn folders_count_with_all_they_hold() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(root.path().join("a/b"), [0; 700]).unwrap();
        fs::write(root.path().join("c"), [0; 300]).unwrap();
        let paths = [root.path().to_owned(), root.path().join("none")];
        assert_eq!(contents(&paths), 1000);
    }
}
