// SPDX-License-Identifier: GPL-3.0-or-later
//! From the policy daemon's answer to the terms of a call, in checked types.

use bulkhead_admin::Destination;
use bulkhead_types::{DomainName, DomainUuid, InvalidService, Service};
use qrexec_protocol::command::{Action, CallTarget, CommandLine, DEFAULT_USER, ServiceCall};
use qrexec_protocol::policy::Allowed;
use qrexec_protocol::trigger::CallRequest;
use thiserror::Error;

/// A call that policy has allowed. It is made in [`crate::request`] from an answer and in no
/// other place.
#[derive(Debug)]
#[must_use]
pub(crate) struct Terms {
    /// Where the service runs.
    pub place: Place,
    /// What is to be run, as the place will read it.
    pub command: Vec<u8>,
    /// Whether a halted target may be started.
    pub autostart: bool,
}

/// Where a service runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In dom0.
    Dom0,
    /// In this domain.
    Domain(Destination),
    /// In a disposable made from this template.
    Disposable(Destination),
}

/// An answer that allows something impossible.
#[derive(Debug, Error)]
pub(crate) enum BadTerms {
    #[error("the policy answer names `{0}`, which is no target")]
    Target(String),
    #[error("the policy answer names `{0}`, which is no user")]
    User(String),
    #[error("the policy answer names a service that cannot be one")]
    Service(#[from] InvalidService),
    #[error("the policy answer forbids starting a domain, but a disposable has to be started")]
    DisposableWithoutStart,
}

fn destination(text: &str) -> Option<Destination> {
    match text.strip_prefix("uuid:") {
        Some(uuid) => DomainUuid::parse(uuid).ok().map(Destination::Uuid),
        None => DomainName::parse(text).ok().map(Destination::Name),
    }
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        if text == "@adminvm" {
            return Some(Self::Dom0);
        }
        if let Some(template) = text.strip_prefix("@dispvm:") {
            return destination(template).map(Self::Disposable);
        }
        let domain = destination(text)?;
        let dom0 = match &domain {
            Destination::Name(name) => name.is_dom0(),
            Destination::Uuid(uuid) => uuid.as_str() == DomainUuid::DOM0,
        };
        Some(if dom0 {
            Self::Dom0
        } else {
            Self::Domain(domain)
        })
    }
}

impl Terms {
    /// What `allowed` means for this request of `source`.
    pub fn new(
        request: &CallRequest,
        source: &DomainName,
        allowed: &Allowed,
    ) -> Result<Self, BadTerms> {
        let Allowed {
            user,
            target,
            target_uuid,
            autostart,
            requested_target,
            service,
            policy_source,
            record: _,
        } = allowed;
        let named = Place::parse(target).ok_or_else(|| BadTerms::Target(target.clone()))?;
        // The UUID cannot mean another domain of the same name later.
        let place = match target_uuid.as_deref().and_then(Place::parse) {
            Some(by_uuid @ Place::Domain(_)) if matches!(named, Place::Domain(_)) => by_uuid,
            _ => named,
        };
        if matches!(place, Place::Disposable(_)) && !autostart {
            return Err(BadTerms::DisposableWithoutStart);
        }
        let user = if user.is_empty() { DEFAULT_USER } else { user };
        if !user
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        {
            return Err(BadTerms::User(user.to_owned()));
        }
        let asked = request.service.to_string();
        let service = service.as_deref().unwrap_or(&asked);
        // Services always see a `+`, so that "no argument" has one spelling.
        let plus = if service.contains('+') { "" } else { "+" };
        let source = match policy_source {
            Some(name) => DomainName::parse(name).map_err(|_| BadTerms::Target(name.clone()))?,
            None => source.clone(),
        };
        // An empty word would tear the command string apart.
        let named = if requested_target.is_empty() {
            "@default"
        } else {
            requested_target
        };
        let legal = named.bytes().all(|b| b.is_ascii_graphic());
        let target = match place {
            Place::Dom0 if !legal => return Err(BadTerms::Target(named.to_owned())),
            Place::Dom0 => Some(CallTarget::from_text(named)),
            _ => None,
        };
        let call = ServiceCall {
            service: Service::parse(&format!("{service}{plus}"))?,
            source: source.to_string(),
            target,
        };
        let line = CommandLine {
            user: user.to_owned(),
            nogui: false,
            action: Action::Service(call),
        };
        Ok(Self {
            place,
            command: line.format(),
            autostart: *autostart,
        })
    }
}

#[cfg(test)]
mod tests {
    use qrexec_protocol::trigger::RequestId;

    use super::*;

    fn terms(change: impl Fn(&mut Allowed)) -> Result<(Place, String), BadTerms> {
        let request = CallRequest {
            source: String::new(),
            target: "b".into(),
            service: Service::parse("qubes.Filecopy").unwrap(),
            ident: RequestId::numbered(1),
        };
        let mut allowed = Allowed {
            user: "DEFAULT".into(),
            target: "personal".into(),
            target_uuid: None,
            autostart: true,
            requested_target: "personal".into(),
            service: None,
            policy_source: None,
            record: None,
        };
        change(&mut allowed);
        let terms = Terms::new(&request, &"work".parse().unwrap(), &allowed)?;
        Ok((terms.place, String::from_utf8(terms.command).unwrap()))
    }

    #[test]
    fn a_domain_is_told_who_calls_and_dom0_also_whom_they_named() {
        let (place, command) = terms(|_| {}).unwrap();
        assert_eq!(
            place,
            Place::Domain(Destination::Name("personal".parse().unwrap()))
        );
        assert_eq!(command, "DEFAULT:QUBESRPC qubes.Filecopy+ work");
        for dom0 in [
            "dom0",
            "@adminvm",
            "uuid:00000000-0000-0000-0000-000000000000",
        ] {
            let (place, command) = terms(|allowed| {
                allowed.target = dom0.into();
                allowed.requested_target = "@adminvm".into();
            })
            .unwrap();
            assert_eq!(place, Place::Dom0);
            assert_eq!(
                command,
                "DEFAULT:QUBESRPC qubes.Filecopy+ work keyword adminvm"
            );
        }
    }

    #[test]
    fn a_uuid_wins_over_a_name() {
        let uuid = "c0ffee00-1234-4abc-8def-0123456789ab";
        let (place, _) =
            terms(|allowed| allowed.target_uuid = Some(format!("uuid:{uuid}"))).unwrap();
        assert_eq!(
            place,
            Place::Domain(Destination::Uuid(DomainUuid::parse(uuid).unwrap()))
        );
    }

    #[test]
    fn an_answer_cannot_smuggle_words_into_the_command() {
        assert!(matches!(
            terms(|a| a.user = "root:x".into()),
            Err(BadTerms::User(_))
        ));
        assert!(matches!(
            terms(|a| a.user = "a b".into()),
            Err(BadTerms::User(_))
        ));
        assert!(matches!(
            terms(|a| a.target = "../b".into()),
            Err(BadTerms::Target(_))
        ));
        assert!(matches!(
            terms(|a| a.service = Some("a b".into())),
            Err(BadTerms::Service(_))
        ));
        assert!(matches!(
            terms(|a| {
                a.target = "dom0".into();
                a.requested_target = "a b".into()
            }),
            Err(BadTerms::Target(_))
        ));
        assert!(matches!(
            terms(|a| {
                a.target = "@dispvm:d".into();
                a.autostart = false
            }),
            Err(BadTerms::DisposableWithoutStart)
        ));
    }
}
