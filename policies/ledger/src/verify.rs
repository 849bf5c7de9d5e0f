// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a ledger is what its writer wrote. No I/O: the caller brings the bytes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chain::{Hash, open_line};
use crate::head::Head;
use crate::key::public_key_from_hex;
use crate::record::{Entry, Event, Seal};
use crate::seal::is_sealed;
use crate::segments::{CURRENT, first_of};

/// So many findings are told; a ledger with more is beyond reading anyway.
const FINDINGS_MAX: usize = 1000;

/// What a ledger is held against.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// What its head's file holds.
    pub head: Option<Vec<u8>>,
    /// The public key of its seals.
    pub key: Option<String>,
    /// A record that must be there, noted elsewhere: number and chain value.
    pub noted: Option<Head>,
    /// Whether a writer is at work meanwhile, so that the end may be ahead of the head.
    pub live: bool,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Whether all is as it was written.
    pub intact: bool,
    /// How many records there are.
    pub records: u64,
    /// The number of the first and the last.
    pub first: Option<u64>,
    /// The last.
    pub last: Option<u64>,
    /// The chain value after the last.
    pub chain: String,
    /// How many seals were good.
    pub seals: u64,
    /// The number of the last good seal.
    pub sealed_through: Option<u64>,
    /// What is wrong, in the order of the files.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The segment.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// What it is.
    #[serde(flatten)]
    pub problem: Problem,
}

/// The ways to be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "problem", rename_all = "kebab-case")]
pub enum Problem {
    /// The line is no record of the chain any more.
    NoRecord,
    /// The record is not what was written there, or does not follow the one before it.
    Altered {
        /// Its number, as it says.
        sequence: u64,
    },
    /// Records are missing.
    Removed {
        /// The first of them.
        from: u64,
        /// The last.
        through: u64,
    },
    /// A record stands behind one with a higher number.
    Reordered {
        /// Its number.
        sequence: u64,
    },
    /// A seal is not good for its place or its key.
    BadSeal {
        /// Its number.
        sequence: u64,
    },
    /// The last record was cut in the middle.
    Unfinished,
    /// The end is missing.
    Cut {
        /// The first missing record.
        from: u64,
        /// The last one there was.
        through: u64,
    },
    /// There are records behind the last one that the head knows.
    BehindHead {
        /// The head's number.
        head: u64,
    },
    /// The head is missing or makes no sense, so a cut end could not be seen.
    NoHead,
    /// The public key is missing or makes no sense, so seals cannot be checked.
    NoKey,
    /// The record that was noted elsewhere is not in this ledger.
    NotNoted {
        /// Its number.
        sequence: u64,
    },
    /// A segment's name says that it begins with another record.
    Misnamed,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        match &self.problem {
            Problem::NoRecord => f.write_str("the line is no record"),
            Problem::Altered { sequence } => {
                write!(f, "record {sequence} is not what was written, or where")
            }
            Problem::Removed { from, through } if from == through => {
                write!(f, "record {from} is missing before this line")
            }
            Problem::Removed { from, through } => {
                write!(
                    f,
                    "records {from} to {through} are missing before this line"
                )
            }
            Problem::Reordered { sequence } => {
                write!(f, "record {sequence} stands where a later one belongs")
            }
            Problem::BadSeal { sequence } => write!(f, "the seal {sequence} is not good"),
            Problem::Unfinished => f.write_str("the file ends in the middle of a record"),
            Problem::Cut { from, through } if from == through => {
                write!(f, "the end was cut off: record {from} is missing")
            }
            Problem::Cut { from, through } => {
                write!(
                    f,
                    "the end was cut off: records {from} to {through} are missing"
                )
            }
            Problem::BehindHead { head } => {
                write!(
                    f,
                    "there are records behind number {head}, the last that the head knows"
                )
            }
            Problem::NoHead => f.write_str("the file `head` is missing or makes no sense"),
            Problem::NoKey => f.write_str("the file `seal.pub` is missing or makes no sense"),
            Problem::NotNoted { sequence } => {
                write!(f, "record {sequence} is not the one that was noted")
            }
            Problem::Misnamed => f.write_str("the file's name does not go with its first record"),
        }
    }
}

/// Holds the segments, oldest first, against the chain and what is expected.
pub fn verify<E>(
    segments: impl IntoIterator<Item = Result<(String, Vec<u8>), E>>,
    expected: &Expected,
) -> Result<Verified, E> {
    let mut reader = Reader::new(expected);
    let mut at = (CURRENT.to_owned(), 0);
    for segment in segments {
        let (name, bytes) = segment?;
        at = (name.clone(), reader.segment(&name, &bytes));
    }
    Ok(reader.finish(at))
}

/// A first record that is not number 1: file, what precedes it, and what it holds.
struct Beginning {
    file: String,
    through: u64,
    content: Vec<u8>,
    claimed: Hash,
}

struct Reader<'a> {
    expected: &'a Expected,
    key: Option<[u8; 32]>,
    head: Head,
    pruned: Vec<Head>,
    /// The first record, when it is not number 1.
    beginning: Option<Beginning>,
    first: Option<u64>,
    records: u64,
    seals: u64,
    sealed_through: Option<u64>,
    noted: bool,
    at_head: bool,
    known: Option<Head>,
    findings: Vec<Finding>,
    more: bool,
}

impl<'a> Reader<'a> {
    fn new(expected: &'a Expected) -> Self {
        let key = expected.key.as_deref().and_then(public_key_from_hex);
        let known = expected.head.as_deref().and_then(Head::decode);
        Self {
            expected,
            key,
            head: Head::genesis(),
            pruned: Vec::new(),
            beginning: None,
            first: None,
            records: 0,
            seals: 0,
            sealed_through: None,
            noted: expected.noted.is_none(),
            at_head: known.is_some_and(|known| known == Head::genesis()),
            known,
            findings: Vec::new(),
            more: false,
        }
    }

    fn find(&mut self, file: &str, line: u64, problem: Problem) {
        if self.findings.len() < FINDINGS_MAX {
            let file = file.to_owned();
            self.findings.push(Finding {
                file,
                line,
                problem,
            });
        }
        self.more = true;
    }

    /// Reads one segment; the number of its lines.
    fn segment(&mut self, name: &str, bytes: &[u8]) -> u64 {
        let mut number = 0;
        let mut named = first_of(name);
        let (whole, rest) = match bytes.iter().rposition(|b| *b == b'\n') {
            Some(end) => bytes.split_at(end + 1),
            None => (&[][..], bytes),
        };
        for line in whole.split_inclusive(|b| *b == b'\n') {
            number += 1;
            let line = &line[..line.len() - 1];
            let sequence = self.line(name, number, line);
            if let Some(first) = named.take()
                && sequence != Some(first)
            {
                self.find(name, number, Problem::Misnamed);
            }
        }
        if named.is_some() && number == 0 {
            self.find(name, 1, Problem::Misnamed);
        }
        let writing = self.expected.live && name == CURRENT;
        if !rest.is_empty() && !writing {
            number += 1;
            self.find(name, number, Problem::Unfinished);
        }
        number
    }

    fn line(&mut self, name: &str, number: u64, line: &[u8]) -> Option<u64> {
        #[derive(Deserialize)]
        struct Start {
            sequence: u64,
        }
        let Some((content, claimed)) = open_line(line) else {
            self.find(name, number, Problem::NoRecord);
            return None;
        };
        let Ok(Start { sequence }) = serde_json::from_slice(line) else {
            self.find(name, number, Problem::NoRecord);
            return None;
        };
        let before = self.head;
        let follows = before.chain.after(content) == claimed;
        let problem = match sequence {
            _ if self.first.is_none() && sequence > 1 => {
                self.begins_later(name, content, claimed, sequence);
                None
            }
            _ if sequence <= before.sequence => Some(Problem::Reordered { sequence }),
            _ if sequence > before.sequence + 1 => Some(Problem::Removed {
                from: before.sequence + 1,
                through: sequence - 1,
            }),
            _ if !follows => Some(Problem::Altered { sequence }),
            _ => None,
        };
        if let Some(problem) = problem {
            self.find(name, number, problem);
        }
        self.first.get_or_insert(sequence);
        self.records += 1;
        self.head = Head {
            sequence: sequence.max(before.sequence),
            chain: claimed,
        };
        let here = Head {
            sequence,
            chain: claimed,
        };
        self.noted |= self.expected.noted == Some(here);
        self.at_head |= self.known == Some(here);
        self.look_into(name, number, line, before);
        Some(sequence)
    }

    /// The oldest segments may be gone if a later record says so, which is seen at the end.
    fn begins_later(&mut self, name: &str, content: &[u8], claimed: Hash, sequence: u64) {
        self.beginning = Some(Beginning {
            file: name.to_owned(),
            through: sequence - 1,
            content: content.to_owned(),
            claimed,
        });
    }

    /// Seals and what was pruned. Only these are read whole.
    fn look_into(&mut self, name: &str, number: u64, line: &[u8], before: Head) {
        let marks = [&b"\"event\":\"seal\""[..], b"\"event\":\"pruned\""];
        // The event stands behind number and time.
        let begin = &line[..line.len().min(120)];
        let marked = marks
            .iter()
            .any(|m| begin.windows(m.len()).any(|w| w == *m));
        if !marked {
            return;
        }
        match serde_json::from_slice::<Entry>(line) {
            Ok(Entry {
                sequence,
                event: Event::Seal(seal),
                ..
            }) => self.seal(name, number, sequence, before.chain, &seal),
            Ok(Entry {
                event: Event::Pruned { through, value },
                ..
            }) => {
                let chain = Hash::from_hex(value.as_bytes());
                self.pruned.extend(chain.map(|chain| Head {
                    sequence: through,
                    chain,
                }));
            }
            _ => {}
        }
    }

    fn seal(&mut self, name: &str, number: u64, sequence: u64, before: Hash, seal: &Seal) {
        let Some(key) = &self.key else { return };
        if is_sealed(key, sequence, before, seal) {
            self.seals += 1;
            self.sealed_through = Some(sequence);
        } else {
            self.find(name, number, Problem::BadSeal { sequence });
        }
    }

    fn finish(mut self, (file, lines): (String, u64)) -> Verified {
        self.settle_beginning();
        if self.key.is_none() {
            self.find(&file, lines, Problem::NoKey);
        }
        match self.known {
            None => self.find(&file, lines, Problem::NoHead),
            Some(known) if known.sequence > self.head.sequence => {
                let problem = Problem::Cut {
                    from: self.head.sequence + 1,
                    through: known.sequence,
                };
                self.find(&file, lines, problem);
            }
            Some(known) if known.sequence < self.head.sequence => {
                if !(self.expected.live && self.at_head) {
                    let head = known.sequence;
                    self.find(&file, lines, Problem::BehindHead { head });
                }
            }
            Some(known) if known != self.head => {
                let sequence = known.sequence;
                self.find(&file, lines, Problem::Altered { sequence });
            }
            Some(_) => {}
        }
        if let Some(noted) = self.expected.noted.filter(|_| !self.noted) {
            let sequence = noted.sequence;
            self.find(&file, lines, Problem::NotNoted { sequence });
        }
        Verified {
            intact: !self.more,
            records: self.records,
            first: self.first,
            last: self.first.map(|_| self.head.sequence),
            chain: self.head.chain.to_string(),
            seals: self.seals,
            sealed_through: self.sealed_through,
            findings: self.findings,
        }
    }

    /// What is missing before the first record must have been pruned, in the words of a later one.
    fn settle_beginning(&mut self) {
        let Some(beginning) = self.beginning.take() else {
            return;
        };
        let Beginning {
            file,
            through,
            content,
            claimed,
        } = beginning;
        let told = self
            .pruned
            .iter()
            .any(|pruned| pruned.sequence == through && pruned.chain.after(&content) == claimed);
        if !told {
            self.find(&file, 1, Problem::Removed { from: 1, through });
        }
    }
}
