// SPDX-License-Identifier: GPL-3.0-or-later
//! All domains, found by name and by UUID, and who refers to whom.
//!
//! Lookups, reverse references and the listing in order of names are kept as maps, so that
//! no request's cost grows with the number of domains unless its answer does.

mod defaults;
mod domain;
mod info;
mod property;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use bulkhead_admin::Destination;
use bulkhead_types::{DomainName, DomainUuid};

pub use defaults::{Defaults, Effective};
pub use domain::{Class, Domain, Stage};
pub use property::{Global, Kind, Property, Value};

use crate::failure::Failure;
use crate::life::{Life, Phase};

/// A domain with what is known of it only while the manager runs.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What the database knows.
    pub domain: Domain,
    /// Where it is in its life.
    pub life: Life,
    info: OnceCell<String>,
}

impl Entry {
    /// Whether it is there for those who ask: not while it is made, and not any more once
    /// its removal is written down. Nothing new can come to depend on it then.
    pub fn is_visible(&self) -> bool {
        !matches!(self.life.phase(), Phase::Creating | Phase::Removing)
    }

    /// What others are told of its life. A domain of another machine counts as running: it can be called.
    pub fn power_state(&self) -> &'static str {
        match self.domain.class {
            Class::RemoteVM => Phase::Running.power_state(),
            _ => self.life.phase().power_state(),
        }
    }
}

/// All domains and the system's own properties.
#[derive(Debug)]
pub struct Model {
    entries: HashMap<DomainUuid, Entry>,
    names: BTreeMap<DomainName, DomainUuid>,
    users: HashMap<DomainUuid, BTreeSet<(DomainUuid, Property)>>,
    globals: BTreeMap<Global, DomainUuid>,
    defaults: Defaults,
}

impl Model {
    /// A system with nothing but dom0.
    pub fn new(defaults: Defaults) -> Self {
        let mut model = Self {
            entries: HashMap::new(),
            names: BTreeMap::new(),
            users: HashMap::new(),
            globals: BTreeMap::new(),
            defaults,
        };
        model.put(
            Domain::dom0(),
            Life::adopted(bulkhead_types::DomId::DOM0, false),
        );
        model
    }

    /// Adds a domain, or replaces its record.
    pub fn put(&mut self, domain: Domain, life: Life) {
        self.forget(&domain.uuid);
        for (target, property) in domain.references() {
            let users = self.users.entry(target.clone()).or_default();
            users.insert((domain.uuid.clone(), property));
        }
        self.names.insert(domain.name.clone(), domain.uuid.clone());
        let entry = Entry {
            life,
            info: OnceCell::new(),
            domain,
        };
        self.entries.insert(entry.domain.uuid.clone(), entry);
    }

    /// Replaces a domain's record and keeps its life.
    pub fn update(&mut self, domain: Domain) {
        let life = match self.entries.get(&domain.uuid) {
            Some(entry) => entry.life.clone(),
            None => return,
        };
        self.put(domain, life);
    }

    /// Takes a domain out.
    pub fn forget(&mut self, uuid: &DomainUuid) -> Option<Entry> {
        let entry = self.entries.remove(uuid)?;
        self.names.remove(&entry.domain.name);
        for (target, property) in entry.domain.references() {
            if let Some(users) = self.users.get_mut(target) {
                users.remove(&(uuid.clone(), property));
                if users.is_empty() {
                    self.users.remove(target);
                }
            }
        }
        Some(entry)
    }

    /// The domain with that UUID.
    pub fn get(&self, uuid: &DomainUuid) -> Option<&Entry> {
        self.entries.get(uuid)
    }

    /// The life of a domain, to tell it news.
    pub fn life_mut(&mut self, uuid: &DomainUuid) -> Option<&mut Life> {
        let entry = self.entries.get_mut(uuid)?;
        entry.info.take();
        Some(&mut entry.life)
    }

    /// The UUID of the domain with that name, whether it is visible yet or not.
    pub fn uuid_of(&self, name: &DomainName) -> Option<&DomainUuid> {
        self.names.get(name)
    }

    /// The domain a request is about, if it is visible.
    pub fn find(&self, destination: &Destination) -> Result<&Entry, Failure> {
        let entry = match destination {
            Destination::Name(name) => self.names.get(name).and_then(|u| self.entries.get(u)),
            Destination::Uuid(uuid) => self.entries.get(uuid),
        };
        entry
            .filter(|e| e.is_visible())
            .ok_or_else(|| Failure::NoSuchDomain(destination.to_string()))
    }

    /// Every visible domain: dom0 first, the others by name.
    pub fn listed(&self) -> impl Iterator<Item = &Entry> {
        let dom0 = self.entries.get(&DomainUuid::dom0());
        let others = self
            .names
            .values()
            .filter_map(|uuid| self.entries.get(uuid));
        dom0.into_iter()
            .chain(others.filter(|e| e.domain.class != Class::AdminVM))
            .filter(|e| e.is_visible())
    }

    /// Every domain, visible or not.
    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        self.names
            .values()
            .filter_map(|uuid| self.entries.get(uuid))
    }

    /// The tags of a domain: how it came to be, and through whom it is reached.
    pub fn tags(&self, domain: &Domain) -> Vec<String> {
        let mut tags = domain.tags();
        let relay = self.reference(domain, Property::Relayvm);
        tags.extend(relay.map(|relay| format!("relayvm-{}", relay.name)));
        tags
    }

    /// The name of a domain.
    pub fn name_of(&self, uuid: &DomainUuid) -> Option<&DomainName> {
        self.entries.get(uuid).map(|e| &e.domain.name)
    }

    /// Who refers to a domain and as what, for people: "template of work".
    pub fn users_of(&self, uuid: &DomainUuid) -> Vec<String> {
        let globals = self.globals.iter().filter(|(_, target)| *target == uuid);
        let mut users: Vec<String> = globals
            .map(|(global, _)| format!("{} of the system", global.name()))
            .collect();
        let mut domains = Vec::new();
        for (user, property) in self.users.get(uuid).into_iter().flatten() {
            if user != uuid
                && let Some(name) = self.name_of(user)
            {
                domains.push((name, property));
            }
        }
        domains.sort();
        users.extend(
            domains
                .iter()
                .map(|(name, property)| format!("{property} of {name}")),
        );
        users
    }

    /// The domains that are based on a domain.
    pub fn based_on(&self, uuid: &DomainUuid) -> impl Iterator<Item = &Entry> {
        let users = self.users.get(uuid).into_iter().flatten();
        users
            .filter(|(_, property)| *property == Property::Template)
            .filter_map(|(user, _)| self.entries.get(user))
    }

    /// A property of the system.
    pub fn global(&self, global: Global) -> Option<&DomainUuid> {
        self.globals.get(&global)
    }

    /// Sets or clears a property of the system.
    pub fn set_global(&mut self, global: Global, value: Option<DomainUuid>) {
        match value {
            Some(uuid) => self.globals.insert(global, uuid),
            None => self.globals.remove(&global),
        };
        if global == Global::DefaultDispvm {
            self.forget_infos();
        }
    }

    /// What a property has where nothing was set.
    pub fn defaults(&self) -> &Defaults {
        &self.defaults
    }

    fn forget_infos(&mut self) {
        for entry in self.entries.values_mut() {
            entry.info.take();
        }
    }

    /// Checks that every index agrees with the records.
    #[cfg(test)]
    fn verify_invariants(&self) {
        assert_eq!(self.names.len(), self.entries.len());
        for (name, uuid) in &self.names {
            assert_eq!(&self.entries[uuid].domain.name, name);
        }
        let mut expected: HashMap<DomainUuid, BTreeSet<(DomainUuid, Property)>> = HashMap::new();
        for entry in self.entries.values() {
            for (target, property) in entry.domain.references() {
                let users = expected.entry(target.clone()).or_default();
                users.insert((entry.domain.uuid.clone(), property));
            }
        }
        assert_eq!(self.users, expected);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_types::Label;
    use proptest::prelude::*;

    fn uuid(number: u8) -> DomainUuid {
        DomainUuid::parse(&format!("00000000-0000-4000-8000-0000000000{number:02x}")).unwrap()
    }

    proptest! {
        #[test]
        fn the_indexes_follow_every_change(ops in prop::collection::vec((0u8..4, 1u8..6, 0u8..6, 0u8..6), 1..60)) {
            let mut model = Model::new(Defaults::default());
            for (op, who, template, dispvm) in ops {
                let name = DomainName::parse(&format!("d{who}")).unwrap();
                let mut domain = Domain::new(uuid(who), name, Class::AppVM, Label::Red);
                domain.template = (template > 0).then(|| uuid(template));
                if dispvm > 0 {
                    domain.set.insert(Property::DefaultDispvm, Value::Domain(Some(uuid(dispvm))));
                }
                match op {
                    0 => { model.forget(&domain.uuid); }
                    1 => model.update(domain),
                    _ => model.put(domain, Life::new(Phase::Halted)),
                }
                model.verify_invariants();
            }
        }
    }
}
