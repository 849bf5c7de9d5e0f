// SPDX-License-Identifier: GPL-3.0-or-later
//! Whether a ledger is what its writer wrote. No I/O: the caller brings the bytes.

mod finding;
mod reading;

use serde::Serialize;

use crate::chain::Hash;
use crate::head::Head;
use crate::key::public_key_from_hex;
use crate::segments::CURRENT;

pub use finding::{Finding, Problem};

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

/// What was read so far.
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
            let Head { sequence, .. } = noted;
            let problem = match self.first {
                Some(first) if sequence < first => Problem::NotedGone { sequence, first },
                _ if sequence > self.head.sequence => Problem::NotedMissing { sequence },
                _ => Problem::NotNoted { sequence },
            };
            self.find(&file, lines, problem);
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
