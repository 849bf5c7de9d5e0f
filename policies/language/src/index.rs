// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the first rule that matches a call without looking at the others.
//!
//! Each rule has a place: those about one service stand together, in their order. A call fits
//! few spellings of a source and of a target field (the name, the UUID, the class, the tags,
//! the wildcards), and each spelling is a set of places. So the callers and targets there are
//! get a row of bits each, one for every place, when the system is known ([`Bound`]); a
//! decision is the first bit that the caller's row, the target's row and the places of the
//! service and argument have in common. It reads as few words as there are rules about the
//! service, by sixty-fours, and finds at that bit what most rules amount to.

use bulkhead_policy_system::{Domain, Map, System};
use bulkhead_types::{DomainName, DomainRef, Service};

use crate::pattern::{ArgumentPattern, DomainPattern, Pattern, ServicePattern};
use crate::places::{Places, Row};
use crate::rule::Rule;
use crate::rules::Numbered;
use crate::target::{Caller, Target};

/// One spelling of a field: its kind and the number of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key(u64);

#[derive(Clone, Copy)]
enum Kind {
    Any,
    AnyVm,
    AdminVm,
    Default,
    Name,
    Uuid,
    Tag,
    Type,
    DispVm,
    DispVmOfName,
    DispVmOfUuid,
    DispVmTag,
}

impl Key {
    fn word(kind: Kind) -> Self {
        Self((kind as u64) << 32)
    }

    fn with(kind: Kind, text: u32) -> Self {
        Self((kind as u64) << 32 | u64::from(text))
    }
}

/// The rules of a policy, arranged for finding.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// The rule at each place.
    rules: Vec<Numbered>,
    /// The texts of source and target fields.
    texts: Map<Box<str>, u32>,
    sources: Map<Key, Places>,
    targets: Map<Key, Places>,
    by_service: Map<Box<str>, Group>,
    /// The rules about every service.
    every_service: Group,
}

/// The rules that have the same service field.
#[derive(Clone, Debug, Default)]
struct Group {
    any_argument: Places,
    by_argument: Map<Box<str>, Places>,
}

impl Group {
    fn push(&mut self, place: usize, argument: &ArgumentPattern) {
        let places = match argument {
            ArgumentPattern::Any => &mut self.any_argument,
            ArgumentPattern::Exactly(argument) => {
                let argument = argument.strip_prefix('+').unwrap_or(argument);
                self.by_argument.entry(argument.into()).or_default()
            }
        };
        places.push(place);
    }
}

impl Index {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut services: Map<&ServicePattern, Vec<u32>> = Map::default();
        for (rule, number) in rules.iter().zip(0..) {
            services.entry(&rule.service).or_default().push(number);
        }
        let mut index = Self::default();
        for (service, numbers) in services {
            // The words of a service hold rules of no other, unless it has few.
            if numbers.len() > 16 {
                let start = index.rules.len().next_multiple_of(64);
                index.rules.resize(start, Numbered::default());
            }
            let mut group = Group::default();
            for number in numbers {
                let (place, rule) = (index.rules.len(), &rules[number as usize]);
                group.push(place, &rule.argument);
                let (source, target) = (index.key(&rule.source), index.key(&rule.target));
                index.sources.entry(source).or_default().push(place);
                index.targets.entry(target).or_default().push(place);
                index.rules.push(Numbered::new(number, rule));
            }
            match service {
                ServicePattern::Any => index.every_service = group,
                ServicePattern::Named(name) => drop(index.by_service.insert(name.clone(), group)),
            }
        }
        index
    }

    fn key(&mut self, pattern: &Pattern) -> Key {
        let (kind, text) = match pattern {
            Pattern::Any => return Key::word(Kind::Any),
            Pattern::AnyVm => return Key::word(Kind::AnyVm),
            Pattern::AdminVm => return Key::word(Kind::AdminVm),
            Pattern::Default => return Key::word(Kind::Default),
            Pattern::DispVm => return Key::word(Kind::DispVm),
            Pattern::Domain(DomainPattern::Name(text)) => (Kind::Name, text),
            Pattern::Domain(DomainPattern::Uuid(text)) => (Kind::Uuid, text),
            Pattern::Tag(text) => (Kind::Tag, text),
            Pattern::Type(text) => (Kind::Type, text),
            Pattern::DispVmOf(DomainPattern::Name(text)) => (Kind::DispVmOfName, text),
            Pattern::DispVmOf(DomainPattern::Uuid(text)) => (Kind::DispVmOfUuid, text),
            Pattern::DispVmTag(text) => (Kind::DispVmTag, text),
        };
        let next = self.texts.len() as u32;
        Key::with(kind, *self.texts.entry(text.clone()).or_insert(next))
    }

    /// The numbers of all rules that mean a caller and a service, in their order.
    pub(crate) fn about(&self, service: &Service, caller: &Caller<'_>) -> Vec<u32> {
        let source = Row::Any(self.meaning_caller(caller));
        let groups = self.groups(service);
        let places = groups.flat_map(|(any, exactly)| [any].into_iter().chain(exactly));
        let places = places.flat_map(|places| places.all_in(&source));
        let mut all: Vec<u32> = places.map(|place| self.rules[place].number).collect();
        all.sort_unstable();
        all
    }

    /// The places of the rules that may be about a service: for any argument, and for this one.
    fn groups<'a>(
        &'a self,
        service: &'a Service,
    ) -> impl Iterator<Item = (&'a Places, Option<&'a Places>)> {
        let argument = service.argument().map_or("", |argument| argument.as_str());
        let named = self.by_service.get(service.name().as_str());
        let groups = named.into_iter().chain([&self.every_service]);
        groups.map(move |group| (&group.any_argument, group.by_argument.get(argument)))
    }

    /// The first rule about a service that is in both rows.
    pub(crate) fn first(
        &self,
        service: &Service,
        source: &Row<'_>,
        target: &Row<'_>,
    ) -> Option<Numbered> {
        let groups = self.groups(service);
        let places = groups.filter_map(|(any, exactly)| any.first_in(exactly, source, target));
        places.map(|place| self.rules[place]).min()
    }

    /// How many words a row of all places has.
    pub(crate) fn words(&self) -> usize {
        self.rules.len().div_ceil(64)
    }

    /// The places of every spelling in the policy that means this caller.
    pub(crate) fn meaning_caller(&self, caller: &Caller<'_>) -> Vec<&Places> {
        let mut found = Found::new(self, &self.sources);
        found.word(Kind::Any);
        found.word(match caller.dom0 {
            true => Kind::AdminVm,
            false => Kind::AnyVm,
        });
        match (caller.domain, caller.reference) {
            (Some(domain), _) => found.domain(domain),
            (None, DomainRef::Name(name)) => found.with(Kind::Name, name.as_str()),
            (None, DomainRef::Uuid(uuid)) => found.with(Kind::Uuid, uuid.as_str()),
        }
        found.places
    }

    /// The places of every spelling in the policy that means this target.
    pub(crate) fn meaning_target(
        &self,
        target: &Target,
        caller: &Caller<'_>,
        system: &System,
    ) -> Vec<&Places> {
        let mut found = Found::new(self, &self.targets);
        found.word(Kind::Any);
        found.word(match target {
            Target::AdminVm => Kind::AdminVm,
            _ => Kind::AnyVm,
        });
        match target {
            Target::Default => found.word(Kind::Default),
            Target::AdminVm => {
                if let Some(domain) = system.get(&DomainName::dom0()) {
                    found.domain(domain);
                }
            }
            Target::Domain { domain, .. } => found.domain(domain),
            Target::DispVm => {
                found.word(Kind::DispVm);
                if let Some(template) = caller.disposable(system) {
                    found.template(template);
                }
            }
            Target::DispVmOf { template, .. } => found.template(template),
        }
        found.places
    }
}

/// The places that were found for one caller or target.
struct Found<'a> {
    index: &'a Index,
    among: &'a Map<Key, Places>,
    places: Vec<&'a Places>,
}

impl<'a> Found<'a> {
    fn new(index: &'a Index, among: &'a Map<Key, Places>) -> Self {
        Self {
            index,
            among,
            places: Vec::new(),
        }
    }

    fn word(&mut self, kind: Kind) {
        self.places.extend(self.among.get(&Key::word(kind)));
    }

    fn with(&mut self, kind: Kind, text: &str) {
        if let Some(number) = self.index.texts.get(text) {
            let places = self.among.get(&Key::with(kind, *number));
            self.places.extend(places);
        }
    }

    fn domain(&mut self, domain: &Domain) {
        self.with(Kind::Name, domain.name.as_str());
        if let Some(uuid) = &domain.uuid {
            self.with(Kind::Uuid, uuid.as_str());
        }
        self.with(Kind::Type, &domain.class);
        for tag in &domain.tags {
            self.with(Kind::Tag, tag);
        }
    }

    fn template(&mut self, template: &Domain) {
        self.with(Kind::DispVmOfName, template.name.as_str());
        if let Some(uuid) = &template.uuid {
            self.with(Kind::DispVmOfUuid, uuid.as_str());
        }
        if template.template_for_dispvms {
            for tag in &template.tags {
                self.with(Kind::DispVmTag, tag);
            }
        }
    }
}
