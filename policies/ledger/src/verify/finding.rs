// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be wrong with a ledger, and how it is told.

use std::fmt;

use serde::Serialize;

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
    /// The record with the number of the one that was noted elsewhere is another.
    NotNoted {
        /// Its number.
        sequence: u64,
    },
    /// The ledger ends before the record that was noted elsewhere.
    NotedMissing {
        /// Its number.
        sequence: u64,
    },
    /// The ledger begins behind the record that was noted elsewhere.
    NotedGone {
        /// Its number.
        sequence: u64,
        /// The first that there is.
        first: u64,
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
            Problem::NotedMissing { sequence } => {
                write!(f, "record {sequence}, which was noted, is missing")
            }
            Problem::NotedGone { sequence, first } => {
                write!(
                    f,
                    "record {sequence}, which was noted, is no longer kept: the first is {first}; \
                     note a later one"
                )
            }
            Problem::Misnamed => f.write_str("the file's name does not go with its first record"),
        }
    }
}
