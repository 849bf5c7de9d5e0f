// SPDX-License-Identifier: GPL-3.0-or-later
//! What is offered to the user, and what the user chose of it.

use std::collections::BTreeMap;

use bulkhead_policy::{Destination, Domain, System};
use bulkhead_types::DomainUuid;
use policy_agent_protocol::{Ask, Choice, Lasting};

use crate::decide::Asked;

/// A target that the user chose: by its name, which was shown, and its UUID, which tells it
/// from a later domain of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) choice: Choice,
    uuid: Option<DomainUuid>,
}

impl Chosen {
    /// The target of a choice, if it is one of those that were offered.
    pub(crate) fn among(offered: &[Destination], choice: &Choice) -> Option<Self> {
        let target = offered.iter().find(|offer| of(offer) == *choice)?;
        Some(Self {
            choice: choice.clone(),
            uuid: uuid(target),
        })
    }

    /// Whether this is what was chosen.
    pub(crate) fn is(&self, target: &Destination) -> bool {
        of(target) == self.choice && uuid(target) == self.uuid
    }
}

fn of(target: &Destination) -> Choice {
    match target {
        Destination::Dom0 => Choice::Domain(bulkhead_types::DomainName::dom0()),
        Destination::Domain(domain) => Choice::Domain(domain.name.clone()),
        Destination::Disposable(template) => Choice::Disposable(template.name.clone()),
    }
}

fn uuid(target: &Destination) -> Option<DomainUuid> {
    match target {
        Destination::Dom0 => Some(DomainUuid::dom0()),
        Destination::Domain(domain) | Destination::Disposable(domain) => domain.uuid.clone(),
    }
}

/// The question as the agent gets it. No text in it is the caller's own but the service's
/// argument: what was asked for is spelled as the domain that it means, or as a keyword.
pub(crate) fn request(asked: &Asked, system: Option<&System>, offered: &[Lasting]) -> Ask {
    let question = &asked.question;
    let mut icons = BTreeMap::new();
    let mut labels = BTreeMap::new();
    let mut show = |key: String, domain: &Domain, disposable: bool| {
        let icon = match disposable {
            true => domain.icon.replacen("appvm", "dispvm", 1),
            false => domain.icon.clone(),
        };
        icons.insert(key.clone(), icon);
        labels.insert(key, domain.label.clone());
    };
    show(asked.source.name.to_string(), &asked.source, false);
    for target in question.choices() {
        let key = of(target).to_string();
        match target {
            Destination::Dom0 => {
                let dom0 = bulkhead_types::DomainName::dom0();
                if let Some(domain) = system.and_then(|system| system.get(&dom0)) {
                    show(key, domain, false);
                }
            }
            Destination::Domain(domain) => show(key, domain, false),
            Destination::Disposable(template) => show(key, template, true),
        }
    }
    Ask {
        source: asked.source.name.clone(),
        service: asked.service.name().to_string(),
        argument: asked.service.policy_argument(),
        targets: question.choices().iter().map(of).collect(),
        default_target: question.default().map(of),
        icons,
        labels,
        requested_target: Some(question.requested().to_string()),
        rule: Some(question.rule().location.to_string()),
        lasting: offered.to_vec(),
    }
}
