// SPDX-License-Identifier: GPL-3.0-or-later
//! Reading a ledger record by record: whether each follows the one before it, and what seals and records of
//! pruning say.

use serde::Deserialize;

use super::{Beginning, Problem, Reader};
use crate::chain::{Hash, open_line};
use crate::head::Head;
use crate::record::{Entry, Event, Seal};
use crate::seal::is_sealed;
use crate::segments::{CURRENT, first_of};

impl Reader<'_> {
    /// Reads one segment; the number of its lines.
    pub(super) fn segment(&mut self, name: &str, bytes: &[u8]) -> u64 {
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
}
