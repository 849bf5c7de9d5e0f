// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds the first rule that matches a call without looking at the others.
//!
//! Rules that say the same in all their fields but the action have only one that can ever
//! decide: the first. So the index maps (service, argument) to a map from source field to a
//! map from target field to the number of the first such rule. A call fits few spellings of
//! each field (its name, its UUID, its class, its tags, the wildcards); each is looked up and
//! the lowest number wins. The cost depends on the number of tags, not on that of rules.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use bulkhead_types::{DomainName, Service};

use crate::call::DomainRef;
use crate::pattern::{ArgumentPattern, DomainPattern, Pattern, ServicePattern};
use crate::rule::Rule;
use crate::system::{Domain, System};
use crate::target::{Caller, Target};

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

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

    fn all(&self) -> impl Iterator<Item = &Key> {
        self.first[..self.count].iter().chain(&self.further)
    }
}

/// The wildcard in the maps of services and arguments.
const ANY: u32 = 0;

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

#[derive(Clone, Debug)]
struct Targets {
    /// The lowest rule in here.
    first: u32,
    by_target: Map<Key, u32>,
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
        // Rules come in order, so whoever is there already is the first.
        let sources = self.calls.entry((service, argument));
        let sources = sources.or_insert_with(|| Sources {
            first: number,
            by_source: Map::default(),
        });
        let targets = sources.by_source.entry(source).or_insert_with(|| Targets {
            first: number,
            by_target: Map::default(),
        });
        targets.by_target.entry(target).or_insert(number);
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
        let name = self.texts.get(service.name().as_str()).copied();
        let argument = service.argument().map_or("", |argument| argument.as_str());
        let argument = self.texts.get(argument).copied();
        let calls = [
            name.zip(argument),
            name.map(|name| (name, ANY)),
            Some((ANY, ANY)),
        ];
        let calls = calls.map(|call| call.and_then(|call| self.calls.get(&call)));
        if calls.iter().all(Option::is_none) {
            return None;
        }
        let (sources, targets) = (
            self.keys_of_caller(caller),
            self.keys_of_target(target, caller, system),
        );
        let mut best = u32::MAX;
        for group in calls.into_iter().flatten() {
            if group.first >= best {
                continue;
            }
            for source in sources.all() {
                let Some(group) = group.by_source.get(source).filter(|t| t.first < best) else {
                    continue;
                };
                let found = targets.all().filter_map(|key| group.by_target.get(key));
                best = found.copied().min().map_or(best, |found| found.min(best));
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

/// A fast hash for keys that come from the policy: its authors are trusted, and what calls
/// bring along is only looked up, never put in, so nobody can crowd a bucket.
#[derive(Default)]
struct Quick(u64);

impl Quick {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

    fn mix(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(Self::FACTOR);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ (rest.len() as u64) << 56);
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(u64::from(byte));
    }

    fn write_u32(&mut self, word: u32) {
        self.mix(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.mix(word);
    }

    fn finish(&self) -> u64 {
        // The table takes its bucket from the low bits and its tag from the high ones.
        self.0 ^ self.0 >> 32
    }
}
