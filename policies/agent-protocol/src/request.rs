// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an agent is asked for.

use std::collections::BTreeMap;

use bulkhead_types::{DomainName, Service};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::answer::Lasting;
use crate::choice::Choice;
use crate::{ascii, metadata};

/// The most bytes of a request; 10 000 domains need less than half of it.
pub const REQUEST_MAX: usize = 4 << 20;

const ASK: &str = "policy.Ask";
const NOTIFY: &str = "policy.Notify";

/// What an agent is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// To ask the user.
    Ask(Box<Ask>),
    /// To tell the user.
    Notify(Notify),
}

/// A call that the user decides on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ask {
    /// Who calls.
    pub source: DomainName,
    /// What is called, without its argument.
    pub service: String,
    /// `+` and the argument.
    pub argument: String,
    /// Where the call may go.
    pub targets: Vec<Choice>,
    /// The target to offer first; one of `targets`.
    #[serde(serialize_with = "or_empty")]
    pub default_target: Option<Choice>,
    /// Names of icons, by domain and `@dispvm:NAME`.
    pub icons: BTreeMap<String, String>,
    /// Names of labels, by domain and `@dispvm:NAME`. This key and the following are ours.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What the caller asked for: a domain that exists, or a keyword.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_target: Option<String>,
    /// The rule that asks, as `FILE:LINE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// For how long an answer may be kept; nothing means for the one call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lasting: Vec<Lasting>,
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notify {
    /// Its end.
    pub resolution: Resolution,
    /// What was called, without its argument.
    pub service: String,
    /// `+` and the argument.
    pub argument: String,
    /// Who called.
    pub source: DomainName,
    /// Whom: a domain, or what the caller asked for.
    pub target: String,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolution {
    /// It was allowed.
    Allow,
    /// It was refused.
    Deny,
    /// It was allowed and could not be made.
    Fail,
}

/// Bytes that are no request. The connection is closed without an answer.
#[derive(Debug, Error)]
pub enum BadRequest {
    /// The line before the body is missing.
    #[error("the request does not begin with a line of metadata")]
    NoMetadata,
    /// Somebody else than dom0 asks.
    #[error("only dom0 may ask")]
    NotDom0,
    /// Another service.
    #[error("the agent has no such service")]
    UnknownService,
    /// Longer than [`REQUEST_MAX`].
    #[error("the request is longer than {REQUEST_MAX} bytes")]
    TooLong,
    /// The body is not an object with the keys that are needed.
    #[error("the request's body cannot be read")]
    Body(#[source] serde_json::Error),
    /// There is nothing to choose.
    #[error("the request offers no target")]
    NoTargets,
    /// A service or an argument with characters that none has.
    #[error("the request is about no possible service")]
    Service,
    /// What the caller asked for is no word that can be asked for.
    #[error("the request names an impossible target")]
    Target,
}

/// As written, before its texts are looked at.
#[derive(Deserialize)]
struct RawAsk {
    source: DomainName,
    service: String,
    argument: String,
    targets: Vec<Choice>,
    #[serde(deserialize_with = "empty_is_none")]
    default_target: Option<Choice>,
    icons: BTreeMap<String, String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    requested_target: Option<String>,
    rule: Option<String>,
    #[serde(default)]
    lasting: Vec<Lasting>,
}

#[derive(Deserialize)]
struct RawNotify {
    resolution: Resolution,
    service: String,
    argument: String,
    source: DomainName,
    target: String,
}

impl Request {
    /// The bytes on the wire, from dom0 to an agent in dom0.
    pub fn encode(&self) -> Vec<u8> {
        let (mut bytes, body) = match self {
            Self::Ask(ask) => (metadata::line(ASK), ascii::json(ask)),
            Self::Notify(notify) => (metadata::line(NOTIFY), ascii::json(notify)),
        };
        bytes.extend(body);
        bytes
    }

    /// Reads a request. Keys that are not known are skipped. A default that is no target is
    /// dropped.
    ///
    /// # Errors
    ///
    /// Anything but a request of dom0, of texts that names, services and targets can be.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadRequest> {
        if bytes.len() > REQUEST_MAX {
            return Err(BadRequest::TooLong);
        }
        let (service, body) = metadata::split(bytes)?;
        match service {
            ASK => {
                let raw: RawAsk = serde_json::from_slice(body).map_err(BadRequest::Body)?;
                raw.check().map(|ask| Self::Ask(Box::new(ask)))
            }
            NOTIFY => {
                let raw: RawNotify = serde_json::from_slice(body).map_err(BadRequest::Body)?;
                raw.check().map(Self::Notify)
            }
            _ => Err(BadRequest::UnknownService),
        }
    }
}

impl RawAsk {
    fn check(self) -> Result<Ask, BadRequest> {
        check_service(&self.service, &self.argument)?;
        if self.targets.is_empty() {
            return Err(BadRequest::NoTargets);
        }
        if let Some(requested) = &self.requested_target {
            check_target(requested)?;
        }
        let listed = |choice: &Choice| self.targets.contains(choice);
        Ok(Ask {
            default_target: self.default_target.filter(listed),
            source: self.source,
            service: self.service,
            argument: self.argument,
            targets: self.targets,
            icons: self.icons,
            labels: self.labels,
            requested_target: self.requested_target,
            rule: self.rule,
            lasting: self.lasting,
        })
    }
}

impl RawNotify {
    fn check(self) -> Result<Notify, BadRequest> {
        check_service(&self.service, &self.argument)?;
        check_target(&self.target)?;
        Ok(Notify {
            resolution: self.resolution,
            service: self.service,
            argument: self.argument,
            source: self.source,
            target: self.target,
        })
    }
}

fn check_service(name: &str, argument: &str) -> Result<(), BadRequest> {
    let whole = format!("{name}{argument}");
    let service = Service::parse(&whole).map_err(|_| BadRequest::Service)?;
    match service.name().as_str() == name && argument.starts_with('+') {
        true => Ok(()),
        false => Err(BadRequest::Service),
    }
}

/// A name, `uuid:…` or a keyword: nothing longer, and of no other characters.
fn check_target(text: &str) -> Result<(), BadRequest> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-@:".contains(c);
    match text.len() <= 63 && text.chars().all(allowed) {
        true => Ok(()),
        false => Err(BadRequest::Target),
    }
}

fn or_empty<S: serde::Serializer>(choice: &Option<Choice>, to: S) -> Result<S::Ok, S::Error> {
    match choice {
        Some(choice) => to.collect_str(choice),
        None => to.serialize_str(""),
    }
}

/// No default, a null and an empty text mean the same.
fn empty_is_none<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Choice>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    // One that can be no target is none of the targets either.
    Ok(text.and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask() -> Ask {
        let name = |text: &str| text.parse::<DomainName>().unwrap();
        Ask {
            source: name("work"),
            service: "qubes.Filecopy".to_owned(),
            argument: "+".to_owned(),
            targets: ["@dispvm:base", "personal"]
                .map(|t| t.parse().unwrap())
                .to_vec(),
            default_target: Some(Choice::Domain(name("personal"))),
            icons: BTreeMap::from([("work".to_owned(), "appvm-blau\u{fc}\u{1f600}".to_owned())]),
            labels: BTreeMap::from([("work".to_owned(), "blue".to_owned())]),
            requested_target: Some("@default".to_owned()),
            rule: Some("30-user.policy:3".to_owned()),
            lasting: Lasting::ALL.to_vec(),
        }
    }

    #[test]
    fn a_question_is_written_as_agents_expect_it() {
        let request = Request::Ask(Box::new(ask()));
        let text = String::from_utf8(request.encode()).unwrap();
        assert!(text.is_ascii());
        insta::assert_snapshot!(text.replace('\0', "\n"), @r#"
        policy.Ask dom0 name dom0
        {"source":"work","service":"qubes.Filecopy","argument":"+","targets":["@dispvm:base","personal"],"default_target":"personal","icons":{"work":"appvm-blau\u00fc\ud83d\ude00"},"labels":{"work":"blue"},"requested_target":"@default","rule":"30-user.policy:3","lasting":["once","10m","running"]}
        "#);
        assert_eq!(Request::decode(text.as_bytes()).unwrap(), request);
        let notify = Request::Notify(Notify {
            resolution: Resolution::Deny,
            service: "qubes.Filecopy".to_owned(),
            argument: "+x".to_owned(),
            source: "work".parse().unwrap(),
            target: "vault".to_owned(),
        });
        let text = String::from_utf8(notify.encode()).unwrap();
        insta::assert_snapshot!(text.replace('\0', "\n"), @r#"
        policy.Notify dom0 name dom0
        {"resolution":"deny","service":"qubes.Filecopy","argument":"+x","source":"work","target":"vault"}
        "#);
        assert_eq!(Request::decode(text.as_bytes()).unwrap(), notify);
    }

    #[test]
    fn a_daemon_that_knows_nothing_of_ours_is_understood() {
        let body = r#"{"source": "work", "service": "qubes.Filecopy", "argument": "+",
            "targets": ["personal"], "default_target": "", "icons": {}, "novel": [1]}"#;
        for line in [
            "policy.Ask dom0",
            "policy.Ask+ dom0",
            "policy.Ask dom0 name dom0",
        ] {
            let request = Request::decode(format!("{line}\0{body}").as_bytes()).unwrap();
            let Request::Ask(ask) = request else {
                panic!("{request:?}");
            };
            assert_eq!((ask.default_target, ask.lasting.len()), (None, 0));
        }
    }

    #[test]
    fn what_a_guest_could_smuggle_in_is_no_request() {
        let good = String::from_utf8(Request::Ask(Box::new(ask())).encode()).unwrap();
        for (from, to) in [
            ("policy.Ask", "policy.Asked"),
            (" dom0 name", " work name"),
            ("\0", " "),
            ("\"work\",\"service\"", "\"w<b>\",\"service\""),
            ("qubes.Filecopy", "qubes.<b>"),
            ("qubes.Filecopy", "qubes.Filecopy+"),
            ("qubes.Filecopy", ""),
            ("\"+\"", "\"\""),
            ("\"+\"", "\"+a b\""),
            ("\"personal\"]", "\"@anyvm\"]"),
            ("[\"@dispvm:base\",\"personal\"]", "[]"),
            ("@default", "@default\\n"),
            ("\"10m\"", "\"10y\""),
            ("{", "["),
        ] {
            assert!(good.contains(from), "{from}");
            let bad = good.replacen(from, to, 1);
            assert!(Request::decode(bad.as_bytes()).is_err(), "{from} -> {to}");
        }
        let other = good.replace(
            "\"default_target\":\"personal\"",
            "\"default_target\":\"vault\"",
        );
        let Ok(Request::Ask(ask)) = Request::decode(other.as_bytes()) else {
            panic!("{other}");
        };
        assert_eq!(ask.default_target, None, "it is none of the targets");
    }
}
