// SPDX-License-Identifier: GPL-3.0-or-later
//! The ledger: one line of JSON for each decision, before its answer leaves.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How far from the end the last record is looked for; a record has 70 KB at most.
const TAIL: u64 = 256 << 10;

/// What is kept of one decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counts up from 1, without gaps, over all of the ledger.
    pub sequence: u64,
    /// When, in UTC, as RFC 3339.
    pub time: String,
    /// Who asked.
    pub source: String,
    /// Of whom, as written by the caller.
    pub requested_target: String,
    /// What for, with the argument.
    pub service: String,
    /// `allow` or `deny`.
    pub verdict: String,
    /// File and line of the rule, where one decided.
    pub rule: Option<String>,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Where the call goes.
    pub target: Option<String>,
    /// Whether the asker only wanted to know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub just_evaluated: bool,
}

/// Why nothing can be recorded.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The file cannot be opened.
    #[error("cannot open the ledger `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process writes it.
    #[error("the ledger `{path}` is in use: is another policyd running?")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A record cannot be written.
    #[error("cannot write to the ledger")]
    Write(#[source] io::Error),
}

/// The file of records. There is one writer at a time; readers may read at any time.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    next: u64,
    /// Whether the file may end in the middle of a line.
    torn: bool,
}

impl Ledger {
    /// Opens the ledger, or begins one, and goes on counting where it ends.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, or another process has it.
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let failed = |source| LedgerError::Open {
            path: path.to_owned(),
            source,
        };
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o640);
        let mut file = options.open(path).map_err(failed)?;
        if file.try_lock().is_err() {
            return Err(LedgerError::InUse {
                path: path.to_owned(),
            });
        }
        let (last, torn) = last_sequence(&mut file).map_err(failed)?;
        Ok(Self {
            file,
            next: last + 1,
            torn,
        })
    }

    /// How many records there are.
    pub fn records(&self) -> u64 {
        self.next - 1
    }

    /// Adds a record, numbering it. It is in the file, whole, when this returns.
    ///
    /// # Errors
    ///
    /// Nothing was recorded; what was written of the line is taken back.
    pub fn append(&mut self, mut record: Record) -> Result<u64, LedgerError> {
        record.sequence = self.next;
        let mut line = serde_json::to_vec(&record).map_err(|e| LedgerError::Write(e.into()))?;
        line.push(b'\n');
        if self.torn {
            line.insert(0, b'\n');
        }
        match self.file.write(&line) {
            Ok(n) if n == line.len() => {
                self.torn = false;
                self.next += 1;
                Ok(record.sequence)
            }
            Ok(n) => {
                self.take_back(n as u64);
                Err(LedgerError::Write(io::ErrorKind::StorageFull.into()))
            }
            Err(error) => Err(LedgerError::Write(error)),
        }
    }

    /// Removes the piece of a record that did not fit.
    fn take_back(&mut self, written: u64) {
        let length = self.file.metadata().map(|m| m.len());
        let shortened = length.and_then(|n| self.file.set_len(n.saturating_sub(written)));
        self.torn |= shortened.is_err();
    }
}

/// The number of the last whole record, and whether something unfinished follows it.
fn last_sequence(file: &mut File) -> io::Result<(u64, bool)> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    // The limit is for what has no end, such as a device.
    file.take(TAIL).read_to_end(&mut tail)?;
    let torn = !tail.is_empty() && !tail.ends_with(b"\n");
    let lines = tail.split(|b| *b == b'\n').rev();
    let mut records = lines.filter_map(|line| serde_json::from_slice::<Record>(line).ok());
    Ok((records.next().map_or(0, |record| record.sequence), torn))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(service: &str) -> Record {
        Record {
            sequence: 0,
            time: "2026-11-23T19:05:20.000000Z".into(),
            source: "work".into(),
            requested_target: String::new(),
            service: service.into(),
            verdict: "deny".into(),
            rule: None,
            reason: Some("no rule allows the call".into()),
            target: None,
            just_evaluated: false,
        }
    }

    #[test]
    fn a_reopened_ledger_goes_on_counting() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("ledger/decisions.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.append(record("a")).unwrap(), 1);
        assert_eq!(ledger.append(record(&"b".repeat(65000))).unwrap(), 2);
        drop(ledger);
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.records(), 2);
        assert_eq!(ledger.append(record("c")).unwrap(), 3);
    }

    #[test]
    fn an_unfinished_line_is_left_alone_and_spoils_no_other() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("decisions.jsonl");
        let mut ledger = Ledger::open(&path).unwrap();
        ledger.append(record("a")).unwrap();
        drop(ledger);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"sequence\":2,\"ti").unwrap();
        let mut ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.append(record("b")).unwrap(), 2);
        let text = std::fs::read_to_string(&path).unwrap();
        let whole = text
            .lines()
            .filter(|l| serde_json::from_str::<Record>(l).is_ok());
        assert_eq!((whole.count(), text.lines().count()), (2, 3));
    }

    #[test]
    fn two_writers_are_not_let_in() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("decisions.jsonl");
        let _first = Ledger::open(&path).unwrap();
        assert!(matches!(
            Ledger::open(&path),
            Err(LedgerError::InUse { .. })
        ));
    }

    #[test]
    fn a_full_disk_is_an_error_and_not_a_record() {
        let mut ledger = Ledger::open(Path::new("/dev/full")).unwrap();
        assert!(matches!(
            ledger.append(record("a")),
            Err(LedgerError::Write(_))
        ));
        assert_eq!(ledger.records(), 0);
    }
}
