// SPDX-License-Identifier: GPL-3.0-or-later
//! The one writer of a ledger.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use thiserror::Error;

use crate::chain::{Hash, close_line, open_line};
use crate::head::{Head, HeadFile};
use crate::key::SealKey;
use crate::record::{Entry, Event};
use crate::segments::{self, CURRENT};
use crate::time::rfc3339;

/// How far from the end the last record is looked for; a record has 140 KB at most.
const TAIL: u64 = 512 << 10;
/// So many records are sealed without waiting for the clock.
const UNSEALED_MAX: u64 = 10_000;

/// How large a ledger may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A segment of this many bytes is full.
    pub segment: u64,
    /// So many full segments are kept; 0 keeps all.
    pub keep: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segment: 64 << 20,
            keep: 0,
        }
    }
}

/// Why nothing can be recorded.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// A file cannot be opened.
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

/// A ledger, open for writing. There is one writer at a time; readers may read at any time.
#[derive(Debug)]
pub struct Ledger {
    directory: PathBuf,
    file: File,
    head_file: HeadFile,
    key: SealKey,
    limits: Limits,
    head: Head,
    /// Bytes in the current segment, and the number of its first record.
    length: u64,
    first: u64,
    unsealed: u64,
    /// Told before anything else.
    start: Option<Event>,
    buffer: Vec<u8>,
    _lock: File,
}

impl Ledger {
    /// Opens the ledger in a directory, or begins one, and goes on where it ends. `boot` is what
    /// the first record tells of the machine's boot.
    ///
    /// # Errors
    ///
    /// A file cannot be opened, or another process has the ledger.
    pub fn open(
        directory: &Path,
        key: SealKey,
        limits: Limits,
        boot: &str,
    ) -> Result<Self, LedgerError> {
        let path = directory.join(CURRENT);
        let failed = |source| LedgerError::Open {
            path: path.clone(),
            source,
        };
        fs::create_dir_all(directory).map_err(failed)?;
        let lock = appending(&segments::lock_path(directory)).map_err(failed)?;
        if lock.try_lock().is_err() {
            return Err(LedgerError::InUse { path });
        }
        let mut file = appending(&path).map_err(failed)?;
        let end = repair_end(&mut file, directory).map_err(failed)?;
        let (head_file, noted) = HeadFile::open(directory).map_err(failed)?;
        let public = key.public_hex();
        publish_key(directory, &public).map_err(failed)?;
        let noted = noted.map_or(0, |head| head.sequence);
        let lost = noted.saturating_sub(end.head.sequence);
        let start = Event::Start {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            boot: boot.to_owned(),
            key: public,
            torn: end.torn,
            lost,
        };
        let head = Head {
            sequence: end.head.sequence + lost,
            ..end.head
        };
        Ok(Self {
            directory: directory.to_owned(),
            file,
            head_file,
            key,
            limits,
            head,
            length: end.length,
            first: end.first.unwrap_or(head.sequence + 1),
            unsealed: 0,
            start: Some(start),
            buffer: Vec::new(),
            _lock: lock,
        })
    }

    /// The number and chain value of the last record.
    pub fn head(&self) -> Head {
        self.head
    }

    /// How many records there are after the last seal.
    pub fn unsealed(&self) -> u64 {
        self.unsealed
    }

    /// Changes how large it may grow, from the next record on.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds a record; its number. It is in the file, whole, when this returns.
    ///
    /// # Errors
    ///
    /// Nothing was recorded; what was written of the line is taken back.
    pub fn append(&mut self, event: Event, now: SystemTime) -> Result<u64, LedgerError> {
        self.append_all(std::slice::from_ref(&event), now)
    }

    /// Adds records in one write; the number of the last.
    ///
    /// # Errors
    ///
    /// None of them was recorded.
    pub fn append_all(&mut self, events: &[Event], now: SystemTime) -> Result<u64, LedgerError> {
        if let Some(start) = self.start.take()
            && let Err(error) = self.write(std::slice::from_ref(&start), now)
        {
            self.start = Some(start);
            return Err(error);
        }
        if self.length >= self.limits.segment {
            self.rotate(now)?;
        }
        self.write(events, now)?;
        if self.unsealed >= UNSEALED_MAX {
            // The records stand; a seal that fails now is tried again with the next.
            let _ = self.seal(now);
        }
        Ok(self.head.sequence)
    }

    /// Signs all records so far, if any has come since the last seal.
    ///
    /// # Errors
    ///
    /// The seal was not recorded.
    pub fn seal(&mut self, now: SystemTime) -> Result<(), LedgerError> {
        if self.unsealed == 0 {
            return Ok(());
        }
        let seal = self.key.seal(self.head.sequence + 1, self.head.chain);
        self.write(&[Event::Seal(seal)], now)?;
        self.unsealed = 0;
        Ok(())
    }

    /// Records the end of the writer and seals it.
    ///
    /// # Errors
    ///
    /// One of them was not recorded.
    pub fn close(mut self, now: SystemTime) -> Result<(), LedgerError> {
        self.append(Event::Stop, now)?;
        self.seal(now)?;
        self.file.sync_data().map_err(LedgerError::Write)
    }

    /// The files to bring to the disk for good: a call that may take long, so it is for another
    /// thread.
    ///
    /// # Errors
    ///
    /// There are no descriptors left.
    pub fn files(&self) -> io::Result<[File; 2]> {
        Ok([self.file.try_clone()?, self.head_file.try_clone()?])
    }

    fn write(&mut self, events: &[Event], now: SystemTime) -> Result<(), LedgerError> {
        #[derive(Serialize)]
        struct Line<'a> {
            sequence: u64,
            time: &'a str,
            #[serde(flatten)]
            event: &'a Event,
        }
        let exact = rfc3339(now);
        let mut head = self.head;
        self.buffer.clear();
        for event in events {
            head.sequence += 1;
            let from = self.buffer.len();
            let line = Line {
                sequence: head.sequence,
                time: &exact,
                event,
            };
            let hour;
            let line = match event {
                // What a disposable did, and when, is nobody's business.
                Event::Private => {
                    hour = format!("{}:00:00.000000Z", &exact[..13]);
                    Line {
                        time: &hour,
                        ..line
                    }
                }
                _ => line,
            };
            serde_json::to_writer(&mut self.buffer, &line)
                .map_err(|e| LedgerError::Write(e.into()))?;
            self.buffer.pop();
            head.chain = close_line(&mut self.buffer, from, head.chain);
        }
        match self.file.write(&self.buffer) {
            Ok(n) if n == self.buffer.len() => {}
            Ok(n) => {
                self.take_back(n as u64);
                return Err(LedgerError::Write(io::ErrorKind::StorageFull.into()));
            }
            Err(error) => return Err(LedgerError::Write(error)),
        }
        if let Err(error) = self.head_file.write(&head) {
            self.take_back(self.buffer.len() as u64);
            return Err(LedgerError::Write(error));
        }
        self.length += self.buffer.len() as u64;
        self.head = head;
        self.unsealed += events.len() as u64;
        Ok(())
    }

    /// Removes what did not fit. Should not even that work, the next open does it.
    fn take_back(&mut self, written: u64) {
        let length = self.file.metadata().map(|m| m.len());
        let _ = length.and_then(|n| self.file.set_len(n.saturating_sub(written)));
    }

    /// Puts the full segment aside, sealed, and begins a new one.
    fn rotate(&mut self, now: SystemTime) -> Result<(), LedgerError> {
        self.seal(now)?;
        let current = self.directory.join(CURRENT);
        let aside = self.directory.join(segments::full_name(self.first));
        let turn = || {
            self.file.sync_data()?;
            fs::rename(&current, &aside)?;
            appending(&current)
        };
        self.file = turn().map_err(LedgerError::Write)?;
        self.length = 0;
        self.first = self.head.sequence + 1;
        self.prune(now)
    }

    fn prune(&mut self, now: SystemTime) -> Result<(), LedgerError> {
        let full = segments::full(&self.directory).map_err(LedgerError::Write)?;
        let surplus = match self.limits.keep {
            0 => 0,
            keep => full.len().saturating_sub(keep),
        };
        if surplus == 0 {
            return Ok(());
        }
        for (_, name) in &full[..surplus] {
            let path = self.directory.join(name);
            let end = File::open(&path).and_then(|mut file| last_record(&mut file));
            let Ok(Some((through, chain))) = end else {
                // A segment that is not as it should be is evidence, and stays.
                return Ok(());
            };
            // Told first: a crash in between leaves more than was promised, not less.
            let value = chain.to_string();
            self.write(&[Event::Pruned { through, value }], now)?;
            self.seal(now)?;
            fs::remove_file(path).map_err(LedgerError::Write)?;
        }
        Ok(())
    }
}

fn appending(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o640);
    options.open(path)
}

/// Written over in place only when it differs, so that a reader finds it whole.
fn publish_key(directory: &Path, public: &str) -> io::Result<()> {
    let path = segments::public_key_path(directory);
    let text = format!("{public}\n");
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let aside = path.with_extension("pub.new");
    fs::write(&aside, text)?;
    fs::rename(aside, path)
}

/// How the segments end.
struct EndOfFile {
    head: Head,
    length: u64,
    /// The number of the current segment's first record, if it has one.
    first: Option<u64>,
    torn: u64,
}

/// Finds the last record, and removes an unfinished one behind it: its writer was killed before
/// anybody had an answer that rests on it.
fn repair_end(file: &mut File, directory: &Path) -> io::Result<EndOfFile> {
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
fn last_record(file: &mut File) -> io::Result<Option<(u64, Hash)>> {
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
