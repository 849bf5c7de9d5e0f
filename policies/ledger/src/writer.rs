// SPDX-License-Identifier: GPL-3.0-or-later
//! The one writer of a ledger.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use serde::Serialize;
use thiserror::Error;

use crate::chain::close_line;
use crate::head::{Head, HeadFile};
use crate::record::Event;
use crate::rotation::Limits;
use crate::seal::SealKey;
use crate::time::rfc3339;

/// So many records are sealed without waiting for the clock.
const UNSEALED_MAX: u64 = 10_000;

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
    pub(crate) directory: PathBuf,
    pub(crate) file: File,
    pub(crate) head_file: HeadFile,
    pub(crate) key: SealKey,
    pub(crate) limits: Limits,
    pub(crate) head: Head,
    /// Bytes in the current segment, and the number of its first record.
    pub(crate) length: u64,
    pub(crate) first: u64,
    pub(crate) unsealed: u64,
    /// Told before anything else.
    pub(crate) start: Option<Event>,
    pub(crate) buffer: Vec<u8>,
    pub(crate) _lock: File,
}

impl Ledger {
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

    pub(crate) fn write(&mut self, events: &[Event], now: SystemTime) -> Result<(), LedgerError> {
        #[derive(Serialize)]
        struct Line<'a> {
            sequence: u64,
            time: &'a str,
            #[serde(flatten)]
            event: &'a Event,
        }
        let exact = rfc3339(now);
        // What a disposable did, and when, is nobody's business.
        let hour = format!("{}:00:00.000000Z", &exact[..13]);
        let mut head = self.head;
        self.buffer.clear();
        for event in events {
            head.sequence += 1;
            let from = self.buffer.len();
            let line = Line {
                sequence: head.sequence,
                time: match event {
                    Event::Private => &hour,
                    _ => &exact,
                },
                event,
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
}
