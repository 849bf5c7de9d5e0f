// SPDX-License-Identifier: GPL-3.0-or-later
//! The end of a call, as a qrexec daemon tells it: lines `key=value` and an empty line, without an answer.
//!
//! It begins with `record=`, the number of the decision, which an answer to a question had; so reports
//! and questions share a socket. Nobody reports on the calls of another domain: `source=` names whose
//! call it was, and what was decided has to say the same. All times are in microseconds since the request came to the daemon.

use bulkhead_types::DomainName;
use policy_ledger::{Close, Stages};
use thiserror::Error;

/// The most characters that say how a call ended.
const HOW_MAX: usize = 200;

/// Bytes that are no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadReport {
    /// Not lines of text with a `=` each.
    #[error("the report is malformed")]
    Malformed,
    /// A key that reports do not have, or one twice.
    #[error("the report has a key that is unknown or stands twice")]
    Key,
    /// A value that is no number.
    #[error("the report's `{0}=` is no number")]
    Number(&'static str),
    /// A source that no domain can have.
    #[error("the report's `source=` names no domain")]
    Source,
    /// A key is missing.
    #[error("the report has no `{0}=`")]
    Missing(&'static str),
}

const KEYS: [&str; 10] = [
    "record",
    "policy_us",
    "start_us",
    "connect_us",
    "first_byte_us",
    "end_us",
    "how",
    "sent",
    "received",
    "source",
];

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The domain that called.
    pub source: DomainName,
    /// What the ledger keeps.
    pub close: Close,
}

/// Whether these bytes are meant as a report.
pub fn is_report(bytes: &[u8]) -> bool {
    bytes.starts_with(b"record=")
}

/// Reads a report.
///
/// # Errors
///
/// Anything but lines with the known keys, each once, in any order after the first.
pub fn decode(bytes: &[u8]) -> Result<Report, BadReport> {
    let text = std::str::from_utf8(bytes).map_err(|_| BadReport::Malformed)?;
    let (text, _) = text.split_once("\n\n").ok_or(BadReport::Malformed)?;
    let mut values: [Option<&str>; KEYS.len()] = [None; KEYS.len()];
    for line in text.split('\n') {
        let (key, value) = line.split_once('=').ok_or(BadReport::Malformed)?;
        let index = KEYS.iter().position(|known| *known == key);
        let place = index.and_then(|index| values.get_mut(index));
        if place.ok_or(BadReport::Key)?.replace(value).is_some() {
            return Err(BadReport::Key);
        }
    }
    let number = |index: usize| -> Result<Option<u64>, BadReport> {
        let value = values[index].map(str::parse).transpose();
        value.map_err(|_| BadReport::Number(KEYS[index]))
    };
    let needed = |index: usize| number(index)?.ok_or(BadReport::Missing(KEYS[index]));
    let how = values[6].ok_or(BadReport::Missing("how"))?;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let end_us = needed(5)?;
    let source = values[9].ok_or(BadReport::Missing("source"))?;
    let source = DomainName::parse(source).map_err(|_| BadReport::Source)?;
    let close = Close {
        call: needed(0)?,
        duration_ms: end_us / 1000,
        end: how.chars().take(HOW_MAX).map(clean).collect(),
        sent: number(7)?,
        received: number(8)?,
        stages: Some(Stages {
            policy_us: needed(1)?,
            start_us: number(2)?,
            connect_us: number(3)?,
            first_byte_us: number(4)?,
            end_us,
        }),
    };
    Ok(Report { source, close })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "record=7\nsource=work\npolicy_us=60\nstart_us=2000\nend_us=3000000\nsent=9\nhow=exit code 0\n\n";

    #[test]
    fn a_report_becomes_the_end_of_its_call() {
        let Report { source, close } = decode(GOOD.as_bytes()).unwrap();
        assert_eq!(source.as_str(), "work");
        assert_eq!((close.call, close.duration_ms), (7, 3000));
        assert_eq!((close.sent, close.received), (Some(9), None));
        assert_eq!(close.end, "exit code 0");
        let stages = close.stages.unwrap();
        assert_eq!((stages.policy_us, stages.start_us), (60, Some(2000)));
        assert_eq!((stages.connect_us, stages.end_us), (None, 3_000_000));
    }

    #[test]
    fn anything_else_is_no_report() {
        use BadReport as E;
        let with = |from: &str, to: &str| decode(GOOD.replacen(from, to, 1).as_bytes());
        assert_eq!(with("record=7", "record=-7"), Err(E::Number("record")));
        assert_eq!(with("policy_us=60\n", ""), Err(E::Missing("policy_us")));
        assert_eq!(with("source=work\n", ""), Err(E::Missing("source")));
        assert_eq!(with("=work", "=wo rk"), Err(E::Source));
        assert_eq!(with("start_us", "end_us"), Err(E::Key));
        assert_eq!(with("start_us", "begin_us"), Err(E::Key));
        assert_eq!(with("how=", "how"), Err(E::Malformed));
        assert_eq!(with("\n\n", "\n"), Err(E::Malformed));
        assert_eq!(with("exit", "\u{1b}[2J").unwrap().close.end, " [2J code 0");
        for n in 0..GOOD.len() - 1 {
            assert!(decode(&GOOD.as_bytes()[..n]).is_err(), "{n}");
        }
    }
}
