// SPDX-License-Identifier: GPL-3.0-or-later
//! Which records are wanted.

use std::time::{Duration, SystemTime};

use thiserror::Error;

use crate::record::{Entry, Event};
use crate::time::rfc3339;

/// What a term of a query can be about.
pub const QUERY_KEYS: [&str; 14] = [
    "event",
    "source",
    "target",
    "service",
    "verdict",
    "rule",
    "reason",
    "grant",
    "generation",
    "call",
    "by",
    "what",
    "since",
    "until",
];

/// The kinds of records.
pub const EVENT_NAMES: [&str; 9] = [
    "decision", "close", "act", "seal", "start", "stop", "private", "flood", "pruned",
];

/// A query: every term has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    terms: Vec<(String, String)>,
    since: Option<String>,
    until: Option<String>,
}

/// A term that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadQuery {
    /// No `=`.
    #[error("`{0}` is no term; terms are KEY=VALUE")]
    NoEquals(String),
    /// No such key.
    #[error("there is no `{}` to ask for; there are {}", .0, QUERY_KEYS.join(", "))]
    UnknownKey(String),
    /// No record can have this value.
    #[error("no record has the {key} `{value}`; there are {}", known.join(", "))]
    UnknownValue {
        /// What the term is about.
        key: String,
        /// What it says.
        value: String,
        /// What it may say.
        known: &'static [&'static str],
    },
    /// No number.
    #[error("`{0}` is no number")]
    NoNumber(String),
    /// No moment.
    #[error("`{0}` is no moment; write 2026-11-26, 2026-11-26T04:30, or an age: 30s, 10m, 2h, 7d")]
    NoMoment(String),
}

impl Query {
    /// Reads terms `KEY=VALUE`; a value may begin and end with `*`. Ages in `since` and `until`
    /// count back from `now`.
    ///
    /// # Errors
    ///
    /// The first term that makes no sense.
    pub fn parse<'a>(
        terms: impl IntoIterator<Item = &'a str>,
        now: SystemTime,
    ) -> Result<Self, BadQuery> {
        let mut query = Self::default();
        for term in terms {
            let no_equals = || BadQuery::NoEquals(term.to_owned());
            let (key, value) = term.split_once('=').ok_or_else(no_equals)?;
            match key {
                "since" => query.since = Some(moment(value, now)?),
                "until" => query.until = Some(moment(value, now)?),
                _ if QUERY_KEYS.contains(&key) => {
                    possible(key, value)?;
                    query.terms.push((key.to_owned(), value.to_owned()));
                }
                _ => return Err(BadQuery::UnknownKey(key.to_owned())),
            }
        }
        Ok(query)
    }

    /// Whether a record is wanted. Times before `until` are.
    pub fn matches(&self, entry: &Entry) -> bool {
        // Times have one length and order as texts, also against a beginning of one.
        let since = self.since.as_ref();
        let until = self.until.as_ref();
        since.is_none_or(|since| entry.time >= *since)
            && until.is_none_or(|until| entry.time < *until)
            && self
                .terms
                .iter()
                .all(|(key, value)| holds(entry, key, value))
    }
}

/// Whether some record could have the value: a misspelt one would find nothing, which reads as if
/// nothing had happened.
fn possible(key: &str, value: &str) -> Result<(), BadQuery> {
    let known: &'static [&'static str] = match key {
        _ if value.starts_with('*') || value.ends_with('*') => return Ok(()),
        "event" => &EVENT_NAMES,
        "verdict" => &["allow", "deny"],
        "grant" | "generation" | "call" if value.parse::<u64>().is_err() => {
            return Err(BadQuery::NoNumber(value.to_owned()));
        }
        _ => return Ok(()),
    };
    match known.contains(&value) {
        true => Ok(()),
        false => Err(BadQuery::UnknownValue {
            key: key.to_owned(),
            value: value.to_owned(),
            known,
        }),
    }
}

fn moment(text: &str, now: SystemTime) -> Result<String, BadQuery> {
    let bad = || BadQuery::NoMoment(text.to_owned());
    if let Some(age) = age(text) {
        return Ok(rfc3339(now.checked_sub(age).ok_or_else(bad)?));
    }
    let pattern = b"dddd-dd-ddTdd:dd:dd.ddddddZ";
    let fits = |(byte, shape): (u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        shape => byte == *shape,
    };
    let whole = matches!(text.len(), 4 | 7 | 10 | 13 | 16 | 19 | 20 | 27);
    let shorter = text.strip_suffix('Z').filter(|rest| rest.len() == 19);
    let text = shorter.unwrap_or(text);
    let within = |at: std::ops::Range<usize>, least: u8, most: u8| {
        let number = text.get(at).and_then(|digits| digits.parse().ok());
        number.is_none_or(|number: u8| (least..=most).contains(&number))
    };
    let real = within(5..7, 1, 12)
        && within(8..10, 1, 31)
        && within(11..13, 0, 23)
        && within(14..16, 0, 59)
        && within(17..19, 0, 59);
    match whole && text.bytes().zip(pattern).all(fits) && real {
        true => Ok(text.to_owned()),
        false => Err(bad()),
    }
}

fn age(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

fn holds(entry: &Entry, key: &str, wanted: &str) -> bool {
    let is = |text: &str| fits(text, wanted);
    let known = |text: &Option<String>| text.as_deref().is_some_and(is);
    let number = |number: Option<u64>| number.is_some_and(|n| is(&n.to_string()));
    if key == "event" {
        return is(entry.event.name());
    }
    match (&entry.event, key) {
        (Event::Decision(decision), _) => match key {
            "source" => is(&decision.source),
            // Where it went and where it was meant to go.
            "target" => known(&decision.target) || is(&decision.requested_target),
            "service" => {
                // Without an argument any is meant.
                let bare = decision.service.split('+').next().unwrap_or_default();
                is(&decision.service) || is(bare)
            }
            "verdict" => is(&decision.verdict),
            "rule" => known(&decision.rule),
            "reason" => known(&decision.reason),
            "grant" => number(decision.grant),
            "generation" => number(decision.generation),
            "call" => is(&entry.sequence.to_string()),
            _ => false,
        },
        (Event::Close(close), "call") => is(&close.call.to_string()),
        (Event::Close(close), "reason") => is(&close.end),
        (Event::Act(act), "by") => is(&act.by),
        (Event::Act(act), "what") => is(&act.what),
        // A grant's own acts begin with its number.
        (Event::Act(act), "grant") if act.what.starts_with("grant") => {
            act.detail.split_once(':').is_some_and(|(id, _)| is(id))
        }
        (Event::Flood { source, .. }, "source") => is(source),
        _ => false,
    }
}

/// Whether a text is as wanted; `*` at either end stands for anything.
fn fits(text: &str, wanted: &str) -> bool {
    let open_start = wanted.strip_prefix('*');
    let core = open_start.unwrap_or(wanted);
    let open_end = core.strip_suffix('*');
    let core = open_end.unwrap_or(core);
    match (open_start.is_some(), open_end.is_some()) {
        (false, false) => text == core,
        (true, false) => text.ends_with(core),
        (false, true) => text.starts_with(core),
        (true, true) => text.contains(core),
    }
}

impl Event {
    /// The name in the record.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Decision(_) => "decision",
            Self::Close(_) => "close",
            Self::Act(_) => "act",
            Self::Seal(_) => "seal",
            Self::Start { .. } => "start",
            Self::Stop => "stop",
            Self::Private => "private",
            Self::Flood { .. } => "flood",
            Self::Pruned { .. } => "pruned",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Decision;

    fn entry() -> Entry {
        Entry {
            sequence: 12,
            time: "2026-11-26T04:30:00.000000Z".into(),
            event: Event::Decision(Decision {
                source: "work".into(),
                requested_target: "vault".into(),
                service: "qubes.Gpg+sign".into(),
                verdict: "deny".into(),
                rule: Some("/etc/bulkhead/policy.d/30-user.policy:3".into()),
                ..Decision::default()
            }),
        }
    }

    fn matches(terms: &[&str]) -> bool {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_667_400);
        assert_eq!(rfc3339(now), "2026-11-26T04:30:00.000000Z");
        Query::parse(terms.iter().copied(), now)
            .unwrap()
            .matches(&entry())
    }

    #[test]
    fn every_term_has_to_hold() {
        assert!(matches(&[]));
        assert!(matches(&["source=work", "verdict=deny", "event=decision"]));
        assert!(!matches(&["source=work", "verdict=allow"]));
        assert!(matches(&["service=qubes.Gpg"]) && matches(&["service=qubes.Gpg+sign"]));
        assert!(!matches(&["service=qubes.Gp"]) && matches(&["service=qubes.*"]));
        assert!(matches(&["rule=*30-user.policy:3"]) && matches(&["call=12"]));
    }

    #[test]
    fn times_are_dates_moments_or_ages() {
        assert!(matches(&["since=2026-11-26"]) && !matches(&["since=2026-11-27"]));
        assert!(matches(&["since=2026-11-26T04:30"]) && !matches(&["since=2026-11-26T04:31"]));
        assert!(matches(&["until=2026-11-26T05"]) && !matches(&["until=2026-11-26"]));
        assert!(matches(&["since=1h"]) && !matches(&["until=1h"]));
    }

    #[test]
    fn a_term_that_makes_no_sense_is_an_error() {
        for bad in [
            "work",
            "colour=red",
            "since=yesterday",
            "since=2026-1",
            "since=ä",
            "since=2026-13-01",
            "until=2026-11-26T24:00",
            "call=last",
            "grant=",
            "verdict=ask",
            "event=decisions",
        ] {
            assert!(
                Query::parse([bad], SystemTime::UNIX_EPOCH).is_err(),
                "{bad}"
            );
        }
    }
}
