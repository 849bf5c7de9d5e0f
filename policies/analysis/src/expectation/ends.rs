// SPDX-License-Identifier: GPL-3.0-or-later
//! Who calls and who is called in a line of expectations: one, or all that a pattern means.

use bulkhead_policy::{Domain, DomainRef, Requested, System};
use bulkhead_types::DomainName;

/// One of these, or all domains of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End<T> {
    One(T),
    All(Kind),
}

/// All domains of a kind, written as in rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `*`
    Any,
    /// `@anyvm`
    AnyVm,
    /// `@tag:TAG`
    Tag(String),
    /// `@type:CLASS`
    Class(String),
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        match (text, text.split_once(':')) {
            ("*", _) => Some(Self::Any),
            ("@anyvm", _) => Some(Self::AnyVm),
            (_, Some(("@tag", tag))) if !tag.is_empty() => Some(Self::Tag(tag.to_owned())),
            (_, Some(("@type", class))) if !class.is_empty() => Some(Self::Class(class.to_owned())),
            _ => None,
        }
    }

    /// In words, for what is missing.
    fn told(&self) -> String {
        match self {
            Self::Any | Self::AnyVm => "domain".to_owned(),
            Self::Tag(tag) => format!("domain with the tag `{tag}`"),
            Self::Class(class) => format!("domain of the class `{class}`"),
        }
    }

    fn domains<'s>(&'s self, system: &'s System) -> impl Iterator<Item = &'s Domain> {
        let means = move |domain: &&Domain| match self {
            Self::Any => true,
            Self::AnyVm => !domain.name.is_dom0(),
            Self::Tag(tag) => domain.has_tag(tag),
            Self::Class(class) => domain.class == *class,
        };
        system.domains().iter().map(AsRef::as_ref).filter(means)
    }
}

impl End<DomainRef> {
    /// Reads who calls.
    pub(super) fn caller(text: &str) -> Result<Self, String> {
        match Kind::parse(text) {
            Some(kind) => Ok(Self::All(kind)),
            None => Ok(Self::One(
                DomainRef::parse(text).map_err(|e| e.to_string())?,
            )),
        }
    }

    /// All callers that are meant, or why there is none: of a caller that is not there every
    /// call is denied, so that expecting it would hold nothing.
    pub(super) fn callers(&self, system: &System) -> Result<Vec<DomainRef>, String> {
        let (callers, none): (Vec<_>, _) = match self {
            Self::One(one) => {
                let found = system.find(one).map(|_| one.clone());
                (found.into_iter().collect(), format!("domain `{one}`"))
            }
            Self::All(kind) => {
                let names = kind
                    .domains(system)
                    .map(|d| DomainRef::Name(d.name.clone()));
                (names.collect(), kind.told())
            }
        };
        match callers.is_empty() {
            true => Err(format!("there is no {none} that could call")),
            false => Ok(callers),
        }
    }
}

impl End<Requested> {
    /// Reads who is called.
    pub(super) fn target(text: &str) -> Result<Self, String> {
        match Kind::parse(text) {
            Some(kind) => Ok(Self::All(kind)),
            None => Ok(Self::One(
                Requested::parse(text).map_err(|e| e.to_string())?,
            )),
        }
    }

    /// All targets that `caller` can ask for, never itself: with `@anyvm`, as in rules, also a
    /// disposable and no target in particular.
    pub(super) fn targets(
        &self,
        caller: &DomainRef,
        system: &System,
    ) -> Result<Vec<Requested>, String> {
        let kind = match self {
            Self::One(one) => return Ok(vec![one.clone()]),
            Self::All(kind) => kind,
        };
        let own = system.find(caller).map(|d| d.name.clone());
        let named = |name: &DomainName| match name.is_dom0() {
            true => Requested::AdminVm,
            false => Requested::Domain(DomainRef::Name(name.clone())),
        };
        let others = kind.domains(system).map(|d| &d.name);
        let others = others.filter(|name| own.as_ref() != Some(*name));
        let mut targets: Vec<Requested> = others.map(named).collect();
        if matches!(kind, Kind::Any | Kind::AnyVm) {
            let templates = system.domains().iter().filter(|d| d.template_for_dispvms);
            let disposable = |d: &Domain| Requested::DispVmOf(DomainRef::Name(d.name.clone()));
            targets.extend([Requested::Default, Requested::DispVm]);
            targets.extend(templates.map(|d| disposable(d)));
        }
        match targets.is_empty() {
            true => Err(format!("there is no {} to call", kind.told())),
            false => Ok(targets),
        }
    }
}

/// A target as a caller names it.
pub(super) fn told(target: &Requested) -> String {
    match target {
        Requested::Default => "@default".to_owned(),
        Requested::DispVm => "@dispvm".to_owned(),
        Requested::DispVmOf(template) => format!("@dispvm:{template}"),
        Requested::AdminVm => "dom0".to_owned(),
        Requested::Domain(domain) => domain.to_string(),
        Requested::Unknown(text) => text.clone(),
    }
}
