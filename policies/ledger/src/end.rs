// SPDX-License-Identifier: GPL-3.0-or-later
//! Where a ledger ends, and what a writer that was killed left behind there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::chain::{Hash, open_line};
use crate::head::Head;
use crate::record::Entry;
use crate::segments;

/// How far from the end the last record is looked for; a record has 140 KB at most.
const TAIL: u64 = 512 << 10;

/// How the segments end.
pub(crate) struct EndOfFile {
    pub head: Head,
    pub length: u64,
    /// The number of the current segment's first record, if it has one.
    pub first: Option<u64>,
    /// Bytes of an unfinished record that were removed.
    pub torn: u64,
}

/// Finds the last record, and removes an unfinished one behind it: its writer was killed before
/// anybody had an answer that rests on it.
pub(crate) fn end_of(file: &mut File, directory: &Path) -> io::Result<EndOfFile> {
    let metadata = file.metadata()?;
    let mut length = if metadata.is_file() {
        metadata.len()
    } else {
        0
    };
    let mut torn = 0;
    if length > 0 {
        let whole = whole_lines(file, length)?;
        torn = length - whole;
        if torn > 0 {
            file.set_len(whole)?;
            length = whole;
        }
    }
    let first = if length > 0 {
        first_record(file)?
    } else {
        None
    };
    let mut last = if length > 0 { last_record(file)? } else { None };
    if last.is_none()
        && let Some((_, name)) = segments::full(directory)?.last()
    {
        last = last_record(&mut File::open(directory.join(name))?)?;
    }
    let head = last.map_or(Head::genesis(), |(sequence, chain)| Head {
        sequence,
        chain,
    });
    Ok(EndOfFile {
        head,
        length,
        first,
        torn,
    })
}

fn tail(file: &mut File, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The length up to the last line feed.
fn whole_lines(file: &mut File, length: u64) -> io::Result<u64> {
    let tail = tail(file, length)?;
    let behind = tail.iter().rev().position(|b| *b == b'\n');
    Ok(match behind {
        Some(behind) => length - behind as u64,
        // Nothing this long is a record's beginning: it is left for `verify` to complain of.
        None if length > TAIL => length,
        None => 0,
    })
}

/// The number and chain value of the last line that is a record.
pub(crate) fn last_record(file: &mut File) -> io::Result<Option<(u64, Hash)>> {
    let length = file.metadata()?.len();
    let tail = tail(file, length)?;
    let mut lines = tail.split(|b| *b == b'\n').rev();
    Ok(lines.find_map(|line| {
        let (_, chain) = open_line(line)?;
        let entry: Entry = serde_json::from_slice(line).ok()?;
        Some((entry.sequence, chain))
    }))
}

fn first_record(file: &mut File) -> io::Result<Option<u64>> {
    file.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let entry: Option<Entry> = serde_json::from_slice(line).ok();
    Ok(entry.map(|entry| entry.sequence))
}
