// SPDX-License-Identifier: GPL-3.0-or-later
//! Question and answer as lines of text, the policy daemon's side (specification of qrexec, 2.8).
//!
//! A question is lines `key=value` and an empty line; the answer is such lines and the end of
//! the stream. A question that is malformed gets no answer at all. Four keys are ours: a denial
//! carries `reason=`, a line for people, and `refusal=quota` where only too much was asked; where a rule decided, any answer carries `rule=FILE:LINE`; and
//! an allowed call has its `record=`, the number with which its end is told ([`crate::report`]).
//! Readers that do not know them skip them.

use bulkhead_policy::{DomainRef, Grant, Target};
use bulkhead_types::SERVICE_DESCRIPTOR_MAX;
use thiserror::Error;

/// The most bytes that a question may have.
pub const QUESTION_MAX: usize = SERVICE_DESCRIPTOR_MAX + 1024;
/// The most bytes that readers take of an answer.
pub const ANSWER_MAX: usize = 4095;
/// The most bytes of a domain or a target in a question; real ones have 63 at most.
const NAME_MAX: usize = 255;
/// The most bytes of a reason in an answer.
const REASON_MAX: usize = 512;

/// May this call be made?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The domain that asks.
    pub source: String,
    /// The target as asked for; may be empty.
    pub intended_target: String,
    /// `SERVICE` or `SERVICE+ARGUMENT`.
    pub service_and_arg: String,
    /// The domain that the source says it speaks for; empty when it does not.
    pub requested_source: String,
    /// Whether `ask` counts as agreed to, for the target as asked for.
    pub assume_yes_for_ask: bool,
    /// Whether the asker only wants to know.
    pub just_evaluate: bool,
}

/// Bytes that are no question. The connection is closed without an answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadQuestion {
    /// Longer than [`QUESTION_MAX`].
    #[error("the question is longer than {QUESTION_MAX} bytes")]
    TooLong,
    /// The stream ended before the empty line.
    #[error("the question ends in the middle")]
    Unfinished,
    /// Not UTF-8, or with a NUL byte.
    #[error("the question is not text")]
    NotText,
    /// A line without `=`.
    #[error("a line of the question has no `=`")]
    NoEquals,
    /// A key that questions do not have.
    #[error("the question has an unknown key")]
    UnknownKey,
    /// A key stands twice.
    #[error("the question has `{0}=` twice")]
    Twice(&'static str),
    /// A key is missing.
    #[error("the question has no `{0}=`")]
    Missing(&'static str),
    /// Neither `yes` nor `no`.
    #[error("`{0}=` is neither `yes` nor `no`")]
    NotABool(&'static str),
    /// A name is longer than any name.
    #[error("`{0}=` is longer than {NAME_MAX} bytes")]
    LongName(&'static str),
}

const KEYS: [&str; 6] = [
    "source",
    "intended_target",
    "service_and_arg",
    "requested_source",
    "assume_yes_for_ask",
    "just_evaluate",
];

impl Question {
    /// Whether `bytes` hold the empty line that ends a question.
    pub fn is_complete(bytes: &[u8]) -> bool {
        bytes.starts_with(b"\n") || bytes.windows(2).any(|pair| pair == b"\n\n")
    }

    /// Reads a question. What follows its empty line does not count.
    ///
    /// # Errors
    ///
    /// Anything but lines with the known keys, each once, in any order.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadQuestion> {
        if bytes.len() > QUESTION_MAX {
            return Err(BadQuestion::TooLong);
        }
        if !Self::is_complete(bytes) {
            return Err(BadQuestion::Unfinished);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| BadQuestion::NotText)?;
        if text.contains('\0') {
            return Err(BadQuestion::NotText);
        }
        let mut values: [Option<&str>; KEYS.len()] = [None; KEYS.len()];
        for line in text.split('\n').take_while(|line| !line.is_empty()) {
            let (key, value) = line.split_once('=').ok_or(BadQuestion::NoEquals)?;
            let index = KEYS.iter().position(|known| *known == key);
            let index = index.ok_or(BadQuestion::UnknownKey)?;
            if values[index].replace(value).is_some() {
                return Err(BadQuestion::Twice(KEYS[index]));
            }
        }
        let required = |index: usize| values[index].ok_or(BadQuestion::Missing(KEYS[index]));
        let name = |index: usize, value: &str| match value.len() {
            0..=NAME_MAX => Ok(value.to_owned()),
            _ => Err(BadQuestion::LongName(KEYS[index])),
        };
        let truth = |index: usize| match values[index] {
            None | Some("no") => Ok(false),
            Some("yes") => Ok(true),
            Some(_) => Err(BadQuestion::NotABool(KEYS[index])),
        };
        Ok(Self {
            source: name(0, required(0)?)?,
            intended_target: name(1, required(1)?)?,
            service_and_arg: required(2)?.to_owned(),
            requested_source: name(3, values[3].unwrap_or_default())?,
            assume_yes_for_ask: truth(4)?,
            just_evaluate: truth(5)?,
        })
    }
}

/// The bytes of the answer to an allowed call. `spoken_for` is the remote domain on whose
/// behalf the caller asked.
///
/// A call to another machine goes to its relay, as a call of the service that carries it
/// (specification of qrexec, 2.7). A service in dom0 learns its target as the caller spelled it.
pub fn allow(
    grant: &Grant,
    question: &Question,
    spoken_for: Option<&DomainRef>,
    record: Option<u64>,
) -> Vec<u8> {
    let user = grant.user().unwrap_or("DEFAULT");
    let autostart = if grant.autostart() { "True" } else { "False" };
    let (target, uuid) = match grant.relay() {
        Some(relay) => {
            let uuid = relay.domain.uuid.as_ref();
            let uuid = uuid.map(|uuid| format!("uuid:{uuid}"));
            (relay.domain.name.to_string(), uuid)
        }
        None => (
            grant.destination().to_string(),
            grant.destination().uuid_text(),
        ),
    };
    let mut text = format!("user={user}\nresult=allow\ntarget={target}\n");
    if let Some(uuid) = uuid {
        text.push_str(&format!("target_uuid={uuid}\n"));
    }
    let requested = match grant.requested() {
        Target::AdminVm => question.intended_target.clone(),
        other => other.to_string(),
    };
    text.push_str(&format!(
        "autostart={autostart}\nrequested_target={requested}\n"
    ));
    if let Some(relay) = grant.relay() {
        text.push_str(&format!("service={}\n", relay.service));
    }
    if let Some(remote) = spoken_for {
        text.push_str(&format!("policy_source={remote}\n"));
    }
    push_rule(&mut text, Some(&grant.rule().location.to_string()));
    if let Some(record) = record {
        push_line(&mut text, "record", &record.to_string());
    }
    text.into_bytes()
}

/// The bytes of the answer to a refused call; `quota` says that it is one of a quota.
pub fn deny(reason: &str, rule: Option<&str>, quota: bool) -> Vec<u8> {
    let reason: String = reason
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let cut = reason.floor_char_boundary(REASON_MAX);
    let mut text = format!("result=deny\nreason={}\n", &reason[..cut]);
    if quota {
        text.push_str("refusal=quota\n");
    }
    push_rule(&mut text, rule);
    text.into_bytes()
}

/// Adds the rule unless the answer would grow too long or the path cannot stand in a line.
fn push_rule(text: &mut String, rule: Option<&str>) {
    let Some(rule) = rule.filter(|rule| !rule.contains(char::is_control)) else {
        return;
    };
    push_line(text, "rule", rule);
}

fn push_line(text: &mut String, key: &str, value: &str) {
    let line = format!("{key}={value}\n");
    if text.len() + line.len() <= ANSWER_MAX {
        text.push_str(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "source=work\nintended_target=@dispvm\nservice_and_arg=a+b\n\n";

    #[test]
    fn a_question_needs_three_keys_in_any_order() {
        let question = Question::decode(GOOD.as_bytes()).unwrap();
        assert_eq!(question.intended_target, "@dispvm");
        assert!(!question.assume_yes_for_ask && !question.just_evaluate);
        let turned = b"service_and_arg=a+b\nintended_target=@dispvm\nsource=work\n\n";
        assert_eq!(Question::decode(turned).unwrap(), question);
    }

    #[test]
    fn anything_else_is_no_question() {
        use BadQuestion as E;
        let with = |line: &str| Question::decode(format!("{line}\n{GOOD}").as_bytes());
        assert_eq!(with("domain=1").unwrap_err(), E::UnknownKey);
        assert_eq!(with("source=a").unwrap_err(), E::Twice("source"));
        assert_eq!(
            with("just_evaluate=1").unwrap_err(),
            E::NotABool("just_evaluate")
        );
        assert_eq!(with("hello").unwrap_err(), E::NoEquals);
        assert_eq!(with("requested_source=a\0").unwrap_err(), E::NotText);
        assert_eq!(with(" source=a").unwrap_err(), E::UnknownKey);
        let long = format!("requested_source={}", "a".repeat(256));
        assert_eq!(with(&long).unwrap_err(), E::LongName("requested_source"));
        for n in 0..GOOD.len() {
            assert!(Question::decode(&GOOD.as_bytes()[..n]).is_err(), "{n}");
        }
        assert_eq!(Question::decode(b"\n").unwrap_err(), E::Missing("source"));
        let endless = vec![b'a'; QUESTION_MAX + 1];
        assert_eq!(Question::decode(&endless).unwrap_err(), E::TooLong);
    }

    #[test]
    fn a_reason_stays_one_short_line() {
        let answer = deny(
            &format!("no\nresult=allow\n{}", "ä".repeat(3000)),
            Some("a:1\nb"),
            false,
        );
        let text = String::from_utf8(answer).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.len() <= ANSWER_MAX);
    }
}
