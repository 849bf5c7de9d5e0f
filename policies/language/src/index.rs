// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the first rule that matches a call without looking at the others.
//!
//! Rules that say the same in all their fields but the action have only one that can ever
//! decide: the first. So the index maps (service, argument) to a map from source field to a
//! map from target field to the number of the first such rule. A call fits few spellings of
//! each field (its name, its UUID, its class, its tags, the wildcards); each is looked up and
//! the lowest number wins. What the domains of a system are called is looked up once for all
//! calls ([`Bound`]). The cost depends on the number of tags, not on that of rules.

use std::sync::Arc;

use bulkhead_types::{DomainName, Service};

use crate::call::DomainRef;
use crate::hash::Map;
use crate::pattern::{ArgumentPattern, DomainPattern, Pattern, ServicePattern};
use crate::rule::Rule;
use crate::system::{Domain, System};
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

/// The keys of one domain or target. Most have few, which need no memory of their own.
#[derive(Clone, Debug)]
struct Keys {
    first: [Key; 12],
    count: usize,
    further: Vec<Key>,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            first: [Key(0); 12],
            count: 0,
            further: Vec::new(),
        }
    }
}

impl Keys {
    fn push(&mut self, key: Key) {
        match self.first.get_mut(self.count) {
            Some(place) => {
                *place = key;
                self.count += 1;
            }
            None => self.further.push(key),
        }
    }

    fn has(&self, key: Key) -> bool {
        self.first[..self.count].contains(&key) || self.further.contains(&key)
    }

    fn all(&self) -> impl Iterator<Item = &Key> {
        self.first[..self.count].iter().chain(&self.further)
    }
}

/// The wildcard in the maps of services and arguments.
const ANY: u32 = 0;

/// The keys of every domain of a system, in its order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bound {
    sources: Vec<Keys>,
    targets: Vec<Keys>,
}

/// The rules of a policy, arranged for finding.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    texts: Map<Box<str>, u32>,
    calls: Map<(u32, u32), Sources>,
    /// All rules that name a service, in their order; under [`ANY`] those for every one.
    by_service: Map<u32, Vec<u32>>,
}

#[derive(Clone, Debug)]
struct Sources {
    /// The lowest rule in here.
    first: u32,
    by_source: Map<Key, Targets>,
}

/// The targets of the rules that agree in all else, each with the first rule that has it.
#[derive(Clone, Debug, Default)]
struct Targets {
    /// In the order of the rules, so the first to be met is the one that decides. Most
    /// sources have few, which are gone through faster than looked up.
    few: Vec<(Key, u32)>,
    /// All of them, once they are many.
    many: Map<Key, u32>,
}

/// How many targets are gone through.
const FEW: usize = 12;

impl Targets {
    fn add(&mut self, target: Key, number: u32) {
        if self.many.is_empty() {
            if self.few.iter().any(|(known, _)| *known == target) {
                return;
            }
            self.few.push((target, number));
            if self.few.len() > FEW {
                self.many = self.few.iter().copied().collect();
            }
        } else {
            // Rules come in order, so whoever is there already is the first.
            self.many.entry(target).or_insert(number);
        }
    }

    /// The lowest rule in here.
    fn first(&self) -> u32 {
        self.few.first().map_or(u32::MAX, |(_, number)| *number)
    }

    /// The lowest rule whose target is among `keys`.
    fn find(&self, keys: &Keys) -> Option<u32> {
        if self.many.is_empty() {
            let mut met = self.few.iter().filter(|(target, _)| keys.has(*target));
            return met.next().map(|(_, number)| *number);
        }
        let met = keys.all().filter_map(|key| self.many.get(key));
        met.copied().min()
    }
}

impl Index {
    pub(crate) fn new(rules: &[Arc<Rule>]) -> Self {
        let mut index = Self::default();
        for (number, rule) in rules.iter().enumerate() {
            index.add(number as u32, rule);
        }
        index
    }

    fn add(&mut self, number: u32, rule: &Rule) {
        let service = match &rule.service {
            ServicePattern::Any => ANY,
            ServicePattern::Named(name) => self.intern(name),
        };
        let argument = match &rule.argument {
            ArgumentPattern::Any => ANY,
            ArgumentPattern::Exactly(argument) => {
                self.intern(argument.strip_prefix('+').unwrap_or(argument))
            }
        };
        self.by_service.entry(service).or_default().push(number);
        let (source, target) = (self.key(&rule.source), self.key(&rule.target));
        let sources = self.calls.entry((service, argument));
        let sources = sources.or_insert_with(|| Sources {
            first: number,
            by_source: Map::default(),
        });
        let targets = sources.by_source.entry(source).or_default();
        targets.add(target, number);
    }

    fn intern(&mut self, text: &str) -> u32 {
        if let Some(known) = self.texts.get(text) {
            return *known;
        }
        let number = self.texts.len() as u32 + 1;
        self.texts.insert(text.into(), number);
        number
    }

    fn key(&mut self, pattern: &Pattern) -> Key {
        match pattern {
            Pattern::Any => Key::word(Kind::Any),
            Pattern::AnyVm => Key::word(Kind::AnyVm),
            Pattern::AdminVm => Key::word(Kind::AdminVm),
            Pattern::Default => Key::word(Kind::Default),
            Pattern::DispVm => Key::word(Kind::DispVm),
            Pattern::Domain(DomainPattern::Name(text)) => Key::with(Kind::Name, self.intern(text)),
            Pattern::Domain(DomainPattern::Uuid(text)) => Key::with(Kind::Uuid, self.intern(text)),
            Pattern::Tag(text) => Key::with(Kind::Tag, self.intern(text)),
            Pattern::Type(text) => Key::with(Kind::Type, self.intern(text)),
            Pattern::DispVmOf(DomainPattern::Name(text)) => {
                Key::with(Kind::DispVmOfName, self.intern(text))
            }
            Pattern::DispVmOf(DomainPattern::Uuid(text)) => {
                Key::with(Kind::DispVmOfUuid, self.intern(text))
            }
            Pattern::DispVmTag(text) => Key::with(Kind::DispVmTag, self.intern(text)),
        }
    }

    /// The numbers of all rules about a service, with whatever argument, in their order.
    pub(crate) fn about(&self, service: &Service) -> Vec<u32> {
        let named = self.texts.get(service.name().as_str());
        let named = named.and_then(|name| self.by_service.get(name));
        let mut all: Vec<u32> = named.cloned().unwrap_or_default();
        all.extend(self.by_service.get(&ANY).into_iter().flatten());
        all.sort_unstable();
        all
    }

    /// The number of the first rule that matches.
    pub(crate) fn first(
        &self,
        service: &Service,
        caller: &Caller<'_>,
        target: &Target,
        system: &System,
    ) -> Option<usize> {
        let groups = self.groups(service)?;
        let sources = self.keys_of_caller(caller);
        let targets = self.keys_of_target(target, caller, system);
        Self::lowest(groups, &sources, &targets)
    }

    /// As [`Self::first`], with what was looked up for the domains of a system before.
    pub(crate) fn first_bound(
        &self,
        service: &Service,
        caller: &Caller<'_>,
        target: &Target,
        bound: &Bound,
        system: &System,
    ) -> Option<usize> {
        let groups = self.groups(service)?;
        let at = |domain: &Domain| system.position(&domain.name);
        let own_sources;
        let sources = match caller
            .domain
            .and_then(|domain| bound.sources.get(at(domain)?))
        {
            Some(keys) => keys,
            None => {
                own_sources = self.keys_of_caller(caller);
                &own_sources
            }
        };
        let own_targets;
        let targets = match target {
            Target::Domain { domain, .. } => at(domain).and_then(|at| bound.targets.get(at)),
            _ => None,
        };
        let targets = match targets {
            Some(keys) => keys,
            None => {
                own_targets = self.keys_of_target(target, caller, system);
                &own_targets
            }
        };
        Self::lowest(groups, sources, targets)
    }

    /// Looks up the domains of a system once, for many calls.
    pub(crate) fn bind(&self, system: &System) -> Bound {
        let mut bound = Bound::default();
        for domain in system.domains() {
            let reference = DomainRef::Name(domain.name.clone());
            let caller = Caller::new(&reference, system);
            bound.sources.push(self.keys_of_caller(&caller));
            let target = match domain.name.is_dom0() {
                true => Target::AdminVm,
                false => Target::Domain {
                    domain: domain.clone(),
                    by_uuid: false,
                },
            };
            bound
                .targets
                .push(self.keys_of_target(&target, &caller, system));
        }
        bound
    }

    /// The groups of rules about a service, the one without rules for every service last.
    fn groups(&self, service: &Service) -> Option<[Option<&Sources>; 3]> {
        let name = self.texts.get(service.name().as_str()).copied();
        let argument = service.argument().map_or("", |argument| argument.as_str());
        let argument = name.and_then(|_| self.texts.get(argument).copied());
        let calls = [
            name.zip(argument),
            name.map(|name| (name, ANY)),
            Some((ANY, ANY)),
        ];
        let calls = calls.map(|call| self.calls.get(&call?));
        calls.iter().any(Option::is_some).then_some(calls)
    }

    fn lowest(groups: [Option<&Sources>; 3], sources: &Keys, targets: &Keys) -> Option<usize> {
        let mut best = u32::MAX;
        for group in groups.into_iter().flatten() {
            if group.first >= best {
                continue;
            }
            for source in sources.all() {
                let group = group.by_source.get(source);
                let Some(group) = group.filter(|targets| targets.first() < best) else {
                    continue;
                };
                best = group.find(targets).map_or(best, |found| found.min(best));
            }
        }
        (best != u32::MAX).then_some(best as usize)
    }

    /// Every spelling in the policy that means this caller.
    fn keys_of_caller(&self, caller: &Caller<'_>) -> Keys {
        let mut keys = Keys::default();
        keys.push(Key::word(Kind::Any));
        keys.push(Key::word(match caller.dom0 {
            true => Kind::AdminVm,
            false => Kind::AnyVm,
        }));
        match (caller.domain, caller.reference) {
            (Some(domain), _) => self.keys_of_domain(domain, &mut keys),
            (None, DomainRef::Name(name)) => self.push(Kind::Name, name.as_str(), &mut keys),
            (None, DomainRef::Uuid(uuid)) => self.push(Kind::Uuid, uuid.as_str(), &mut keys),
        }
        keys
    }

    /// Every spelling in the policy that means this target.
    fn keys_of_target(&self, target: &Target, caller: &Caller<'_>, system: &System) -> Keys {
        let mut keys = Keys::default();
        keys.push(Key::word(Kind::Any));
        keys.push(Key::word(match target {
            Target::AdminVm => Kind::AdminVm,
            _ => Kind::AnyVm,
        }));
        match target {
            Target::Default => keys.push(Key::word(Kind::Default)),
            Target::AdminVm => {
                if let Some(domain) = system.get(&DomainName::dom0()) {
                    self.keys_of_domain(domain, &mut keys);
                }
            }
            Target::Domain { domain, .. } => self.keys_of_domain(domain, &mut keys),
            Target::DispVm => {
                keys.push(Key::word(Kind::DispVm));
                if let Some(template) = caller.disposable(system) {
                    self.keys_of_template(template, &mut keys);
                }
            }
            Target::DispVmOf { template, .. } => self.keys_of_template(template, &mut keys),
        }
        keys
    }

    fn keys_of_domain(&self, domain: &Domain, keys: &mut Keys) {
        self.push(Kind::Name, domain.name.as_str(), keys);
        if let Some(uuid) = &domain.uuid {
            self.push(Kind::Uuid, uuid.as_str(), keys);
        }
        self.push(Kind::Type, &domain.class, keys);
        for tag in &domain.tags {
            self.push(Kind::Tag, tag, keys);
        }
    }

    fn keys_of_template(&self, template: &Domain, keys: &mut Keys) {
        self.push(Kind::DispVmOfName, template.name.as_str(), keys);
        if let Some(uuid) = &template.uuid {
            self.push(Kind::DispVmOfUuid, uuid.as_str(), keys);
        }
        if template.template_for_dispvms {
            for tag in &template.tags {
                self.push(Kind::DispVmTag, tag, keys);
            }
        }
    }

    fn push(&self, kind: Kind, text: &str, keys: &mut Keys) {
        if let Some(number) = self.texts.get(text) {
            keys.push(Key::with(kind, *number));
        }
    }
}
