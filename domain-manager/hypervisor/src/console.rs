// SPDX-License-Identifier: GPL-3.0-or-later
//! What a guest wrote to its console, made safe to read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How much of the end of a log is looked at, in bytes.
const WINDOW: u64 = 64 << 10;

/// The last `lines` lines of a console's log; empty when there is none.
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    match end_of(log) {
        Ok(bytes) => last_lines(&bytes, lines),
        Err(error) => {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!("console log `{}`: {error}", log.display());
            }
            String::new()
        }
    }
}

fn end_of(log: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(WINDOW)))?;
    let mut bytes = Vec::new();
    file.take(WINDOW).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn last_lines(bytes: &[u8], lines: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let all: Vec<_> = text.lines().map(printable).collect();
    let end = all.iter().rposition(|line| !line.is_empty());
    let all = &all[..end.map_or(0, |end| end + 1)];
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A line without what a terminal would obey.
fn printable(line: &str) -> String {
    let line = line.trim_end();
    line.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => char::REPLACEMENT_CHARACTER,
            // Characters that reorder the text around them.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                char::REPLACEMENT_CHARACTER
            }
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_given_without_the_empty_ones_at_the_end() {
        assert_eq!(last_lines(b"one\r\ntwo\r\nthree\r\n\r\n", 2), "two\nthree");
        assert_eq!(last_lines(b"one", 5), "one");
        assert_eq!(last_lines(b"\n\n", 5), "");
    }

    #[test]
    fn nothing_a_terminal_obeys_comes_through() {
        let text = last_lines(b"\x1b[31mred\x07\xff \xe2\x80\xaeback\tend", 1);
        assert_eq!(text, "\u{fffd}[31mred\u{fffd}\u{fffd} \u{fffd}back end");
    }

    #[test]
    fn only_the_end_of_a_long_log_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        std::fs::write(&log, format!("{}last", "x\n".repeat(1 << 20))).unwrap();
        assert_eq!(tail(&log, 2), "x\nlast");
        assert_eq!(tail(&folder.path().join("none"), 2), "");
    }
}
