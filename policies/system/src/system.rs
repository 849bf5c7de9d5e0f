// SPDX-License-Identifier: MIT OR Apache-2.0
//! The domains and how they are found. Whoever decides does so across the border of this crate, many
//! times a second; what is on that way is inlined.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_types::{DomainName, DomainRef, DomainUuid};
use serde::Deserialize;

use crate::document::Document;
use crate::hash::Map;

/// One domain, as far as policy cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Domain {
    /// Its name.
    pub name: DomainName,
    /// Its class, such as `AppVM`.
    pub class: String,
    /// Its UUID, if the manager told.
    pub uuid: Option<DomainUuid>,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whether disposables can be made from it.
    pub template_for_dispvms: bool,
    /// The template of the disposables it asks for.
    pub default_dispvm: Option<DomainName>,
    /// `Running`, `Halted` …
    pub power_state: String,
    /// Its label's name, or its colour, `0xrrggbb`, where that is no label's that every installation has.
    pub label: String,
    /// Its icon's name.
    pub icon: String,
    /// The domain whose screen it is seen on.
    pub guivm: Option<DomainName>,
    /// Whether it is kept out of lists that people choose from.
    pub internal: bool,
    /// The domain a remote domain is reached through.
    pub relayvm: Option<DomainName>,
    /// The service that carries calls to a remote domain.
    pub transport_rpc: Option<String>,
}

impl Domain {
    /// A domain that runs, has no tags, and is seen on dom0's screen.
    pub fn new(name: DomainName, class: &str) -> Self {
        Self {
            name,
            class: class.to_owned(),
            uuid: None,
            tags: Vec::new(),
            template_for_dispvms: false,
            default_dispvm: None,
            power_state: "Running".to_owned(),
            label: "red".to_owned(),
            icon: String::new(),
            guivm: Some(DomainName::dom0()),
            internal: false,
            relayvm: None,
            transport_rpc: None,
        }
    }

    /// Whether it has a tag.
    #[inline]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    /// Whether it runs now.
    #[inline]
    pub fn is_running(&self) -> bool {
        self.power_state == "Running"
    }
}

/// All domains.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "Document")]
pub struct System {
    /// Sorted by name.
    domains: Vec<Arc<Domain>>,
    by_name: Map<DomainName, usize>,
    by_uuid: Map<DomainUuid, usize>,
}

impl System {
    /// A system of these domains. Of two with one name the later one stays.
    pub fn new(domains: impl IntoIterator<Item = Domain>) -> Self {
        let named = domains.into_iter().map(|d| (d.name.clone(), Arc::new(d)));
        let named: BTreeMap<_, _> = named.collect();
        let domains: Vec<_> = named.into_values().collect();
        let numbered = || domains.iter().enumerate();
        let uuid = |(at, domain): (usize, &Arc<Domain>)| Some((domain.uuid.clone()?, at));
        Self {
            by_name: numbered().map(|(at, d)| (d.name.clone(), at)).collect(),
            by_uuid: numbered().filter_map(uuid).collect(),
            domains,
        }
    }

    /// The domain of a name.
    #[inline]
    pub fn get(&self, name: &DomainName) -> Option<&Arc<Domain>> {
        self.domains.get(self.position(name)?)
    }

    /// Where a domain stands in [`Self::domains`].
    #[inline]
    pub fn position(&self, name: &DomainName) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The domain that is meant.
    #[inline]
    pub fn find(&self, domain: &DomainRef) -> Option<&Arc<Domain>> {
        self.domains.get(self.locate(domain)?)
    }

    /// Where the domain that is meant stands in [`Self::domains`].
    #[inline]
    pub fn locate(&self, domain: &DomainRef) -> Option<usize> {
        match domain {
            DomainRef::Name(name) => self.position(name),
            DomainRef::Uuid(uuid) if uuid.as_str() == DomainUuid::DOM0 => {
                self.position(&DomainName::dom0())
            }
            DomainRef::Uuid(uuid) => self.by_uuid.get(uuid).copied(),
        }
    }

    /// All domains, sorted by name.
    #[inline]
    pub fn domains(&self) -> &[Arc<Domain>] {
        &self.domains
    }

    /// How many domains there are, dom0 included.
    #[inline]
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }
}
