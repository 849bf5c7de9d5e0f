// SPDX-License-Identifier: MIT OR Apache-2.0
//! Question and answer between a qrexec daemon and the policy daemon.
//!
//! Both are lines `key=value`. A question ends with an empty line, an answer with the end of the
//! stream. Each key stands at most once; the reader of an answer skips keys that it does not
//! know. An answer that is not one counts as a refusal: there is no third way.

use thiserror::Error;

use crate::limits::POLICY_ANSWER_MAX;

/// May this call be made?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The domain that asks.
    pub source: String,
    /// The target as asked for, sanitised; it may be empty.
    pub intended_target: String,
    /// `SERVICE` or `SERVICE+ARGUMENT`.
    pub service_and_arg: String,
    /// For whom the domain claims to speak; agents before version 4 cannot say.
    pub requested_source: Option<String>,
}

/// The policy daemon's word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer {
    /// The call may be made, in this way and no other.
    Allow(Allowed),
    /// It may not.
    Deny {
        /// Why, for a person in dom0.
        reason: Option<String>,
        /// The rule, as `FILE:LINE`.
        rule: Option<String>,
        /// Whether only too much is under way, so that it may be allowed later.
        busy: bool,
    },
}

/// The terms of an allowed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The user that runs the service, or `DEFAULT`.
    pub user: String,
    /// A domain's name, `dom0` or `@dispvm:NAME`.
    pub target: String,
    /// The target as `uuid:…` or `@dispvm:uuid:…`.
    pub target_uuid: Option<String>,
    /// Whether a halted target is started.
    pub autostart: bool,
    /// The target as the caller named it: what a service in dom0 is told.
    pub requested_target: String,
    /// Another service to call instead, when the target is reached through a relay.
    pub service: Option<String>,
    /// The domain spoken for, if any.
    pub policy_source: Option<String>,
    /// The number under which the decision was recorded; the end of the call is to be told with it.
    pub record: Option<u64>,
}

/// Bytes that are no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadAnswer {
    /// Longer than 4095 bytes.
    #[error("the policy answer is longer than {POLICY_ANSWER_MAX} bytes")]
    TooLong,
    /// Not lines of text with a `=` each.
    #[error("the policy answer is malformed")]
    Malformed,
    /// A key stands twice.
    #[error("the policy answer has two lines `{0}`")]
    Twice(&'static str),
    /// A key is missing.
    #[error("the policy answer has no line `{0}`")]
    Missing(&'static str),
}

impl Question {
    /// The bytes to send.
    ///
    /// No field can hold a line break: they were sanitised or are checked names; should one do so
    /// all the same, it becomes a space.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::new();
        let mut line = |key: &str, value: &str| {
            text.push_str(key);
            text.push('=');
            text.push_str(&value.replace(['\n', '\0'], " "));
            text.push('\n');
        };
        line("source", &self.source);
        line("intended_target", &self.intended_target);
        line("service_and_arg", &self.service_and_arg);
        if let Some(source) = &self.requested_source {
            line("requested_source", source);
        }
        text.push('\n');
        text.into_bytes()
    }
}

const KEYS: [&str; 12] = [
    "result",
    "user",
    "target",
    "target_uuid",
    "autostart",
    "requested_target",
    "service",
    "policy_source",
    "reason",
    "rule",
    "record",
    "refusal",
];

impl Answer {
    /// Reads a whole answer.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadAnswer> {
        if bytes.len() > POLICY_ANSWER_MAX {
            return Err(BadAnswer::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| BadAnswer::Malformed)?;
        if text.contains('\0') || text.is_empty() {
            return Err(BadAnswer::Malformed);
        }
        let mut values: [Option<String>; KEYS.len()] = Default::default();
        for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
            let (key, value) = line.split_once('=').ok_or(BadAnswer::Malformed)?;
            let Some(index) = KEYS.iter().position(|known| *known == key) else {
                continue;
            };
            if values[index].replace(value.to_owned()).is_some() {
                return Err(BadAnswer::Twice(KEYS[index]));
            }
        }
        let [
            result,
            user,
            target,
            target_uuid,
            autostart,
            requested_target,
            service,
            policy_source,
            reason,
            rule,
            record,
            refusal,
        ] = values;
        match result.as_deref() {
            None => Err(BadAnswer::Missing("result")),
            Some("deny") => Ok(Self::Deny {
                reason,
                rule,
                busy: refusal.as_deref() == Some("quota"),
            }),
            Some("allow") => Ok(Self::Allow(Allowed {
                user: user.ok_or(BadAnswer::Missing("user"))?,
                target: target.ok_or(BadAnswer::Missing("target"))?,
                target_uuid,
                autostart: match autostart.as_deref() {
                    Some("True") => true,
                    Some("False") => false,
                    Some(_) => return Err(BadAnswer::Malformed),
                    None => return Err(BadAnswer::Missing("autostart")),
                },
                requested_target: requested_target.ok_or(BadAnswer::Missing("requested_target"))?,
                service,
                policy_source,
                record: record.and_then(|number| number.parse().ok()),
            })),
            Some(_) => Err(BadAnswer::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_is_lines_and_an_empty_line() {
        let question = Question {
            source: "work".into(),
            intended_target: "@dispvm".into(),
            service_and_arg: "qubes.OpenInVM".into(),
            requested_source: Some(String::new()),
        };
        insta::assert_snapshot!(String::from_utf8(question.encode()).unwrap(), @r"
        source=work
        intended_target=@dispvm
        service_and_arg=qubes.OpenInVM
        requested_source=
        ");
        assert!(question.encode().ends_with(b"\n\n"));
    }

    #[test]
    fn an_allow_names_its_terms() {
        let text = "user=DEFAULT\nresult=allow\ntarget=work\ntarget_uuid=uuid:x\nautostart=True\nrequested_target=work\nnews=1\n";
        let Answer::Allow(allowed) = Answer::decode(text.as_bytes()).unwrap() else {
            panic!()
        };
        assert_eq!((allowed.target.as_str(), allowed.autostart), ("work", true));
        for missing in ["user", "target", "autostart", "requested_target", "result"] {
            let without: Vec<&str> = text
                .lines()
                .filter(|l| !l.starts_with(&format!("{missing}=")))
                .collect();
            assert_eq!(
                Answer::decode(without.join("\n").as_bytes()),
                Err(BadAnswer::Missing(missing))
            );
        }
    }

    #[test]
    fn what_is_not_an_answer_is_an_error() {
        for bad in [
            "",
            "\n",
            "result",
            "result=maybe",
            "result=deny\n\n",
            "result=allow\0",
        ] {
            assert!(Answer::decode(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(
            Answer::decode(b"result=deny\nresult=deny"),
            Err(BadAnswer::Twice("result"))
        );
        assert_eq!(Answer::decode(&[b'a'; 4096]), Err(BadAnswer::TooLong));
        let deny =
            Answer::decode(b"result=deny\nrule=30-user.policy:3\nreason=no rule allows it\n")
                .unwrap();
        assert_eq!(
            deny,
            Answer::Deny {
                reason: Some("no rule allows it".into()),
                rule: Some("30-user.policy:3".into()),
                busy: false,
            }
        );
    }

    proptest! {
        #[test]
        fn no_field_adds_a_line_to_a_question(target in any::<String>()) {
            let question = Question {
                source: "work".into(), intended_target: target,
                service_and_arg: "s".into(), requested_source: None,
            };
            let text = String::from_utf8(question.encode()).unwrap();
            prop_assert_eq!(text.split('\n').count(), 5);
        }

        #[test]
        fn no_bytes_make_the_reader_fall_over(bytes: Vec<u8>) {
            let _ = Answer::decode(&bytes);
        }
    }
}
