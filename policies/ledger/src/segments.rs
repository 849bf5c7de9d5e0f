// SPDX-License-Identifier: GPL-3.0-or-later
//! The files of a ledger in their order, for readers. The writer is never waited for.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use crate::head;
use crate::record::Entry;

/// The name of the segment that is written to.
pub const CURRENT: &str = "decisions.jsonl";
const PREFIX: &str = "decisions-";
const ENDING: &str = ".jsonl";
const LOCK: &str = "lock";
const PUBLIC_KEY: &str = "seal.pub";
/// How often a reader begins again because the writer began a new segment meanwhile.
const ATTEMPTS: usize = 16;

/// The name of a full segment whose first record has this number.
pub(crate) fn full_name(first: u64) -> String {
    format!("{PREFIX}{first:012}{ENDING}")
}

/// The number in the name of a full segment.
pub(crate) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?.strip_suffix(ENDING)?;
    let plain = digits.len() >= 12 && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// The full segments of a directory, by the number of their first record.
pub(crate) fn full(directory: &Path) -> io::Result<Vec<(u64, String)>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(first) = first_of(&name) {
            names.push((first, name));
        }
    }
    names.sort();
    Ok(names)
}

/// A ledger as it was at one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// The segments, oldest first, by name.
    pub segments: Vec<(String, File)>,
    /// What the head's file holds; `None` when it is missing.
    pub head: Option<Vec<u8>>,
    /// What the file of the public key holds; `None` when it is missing.
    pub key: Option<String>,
    /// Whether a writer is at work, which may be in the middle of a record.
    pub live: bool,
}

/// Opens all files of a ledger, also while it is written.
///
/// # Errors
///
/// The directory or a file cannot be read.
pub fn snapshot(directory: &Path) -> io::Result<Snapshot> {
    for _ in 0..ATTEMPTS {
        let before = full(directory)?;
        // The head first: a record is written before its head.
        let head = optional(fs::read(directory.join(head::NAME)))?;
        let current = optional(File::open(directory.join(CURRENT)))?;
        let mut segments = Vec::new();
        let mut gone = false;
        for (_, name) in &before {
            match File::open(directory.join(name)) {
                Ok(file) => segments.push((name.clone(), file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => gone = true,
                Err(error) => return Err(error),
            }
        }
        if gone || full(directory)? != before {
            continue;
        }
        segments.extend(current.map(|file| (CURRENT.to_owned(), file)));
        let lock = optional(File::open(directory.join(LOCK)))?;
        let live = lock.is_some_and(|file| file.try_lock_shared().is_err());
        return Ok(Snapshot {
            segments,
            head,
            key: optional(fs::read_to_string(directory.join(PUBLIC_KEY)))?,
            live,
        });
    }
    Err(io::Error::other("segments come and go too fast"))
}

/// Gives each record that can be read, oldest first, until `each` says that it has enough.
/// Lines that are none are skipped: [`crate::verify`] is who complains.
///
/// # Errors
///
/// A file cannot be read.
pub fn entries(snapshot: &Snapshot, mut each: impl FnMut(Entry) -> bool) -> io::Result<()> {
    for (_, file) in &snapshot.segments {
        for line in BufReader::with_capacity(1 << 16, file).split(b'\n') {
            let entry = serde_json::from_slice(&line?);
            if let Ok(entry) = entry
                && !each(entry)
            {
                return Ok(());
            }
        }
    }
    Ok(())
}

pub(crate) fn lock_path(directory: &Path) -> std::path::PathBuf {
    directory.join(LOCK)
}

pub(crate) fn public_key_path(directory: &Path) -> std::path::PathBuf {
    directory.join(PUBLIC_KEY)
}

fn optional<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
