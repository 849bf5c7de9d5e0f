// SPDX-License-Identifier: MIT OR Apache-2.0
//! What policy has to know of the domains: the domain manager's system information.
//!
//! [`System`] is read from the JSON of `internal.GetSystemInfo` (specification of qrexec,
//! 2.4) with any serde format; unknown fields are skipped and absent ones are unset.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bulkhead_types::{DomainName, DomainUuid};
use serde::Deserialize;

use crate::call::DomainRef;

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
    /// Its label's name.
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
    /// Whether it runs now.
    pub fn is_running(&self) -> bool {
        self.power_state == "Running"
    }
}

/// All domains.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Document")]
pub struct System {
    domains: HashMap<DomainName, Arc<Domain>>,
    by_uuid: HashMap<DomainUuid, DomainName>,
}

impl System {
    /// A system of these domains. Of two with one name the later one stays.
    pub fn new(domains: impl IntoIterator<Item = Domain>) -> Self {
        let mut system = Self::default();
        for domain in domains {
            if let Some(uuid) = &domain.uuid {
                system.by_uuid.insert(uuid.clone(), domain.name.clone());
            }
            let name = domain.name.clone();
            system.domains.insert(name, Arc::new(domain));
        }
        system
    }

    /// The domain of a name.
    pub fn get(&self, name: &DomainName) -> Option<&Arc<Domain>> {
        self.domains.get(name)
    }

    /// The domain that is meant.
    pub fn find(&self, domain: &DomainRef) -> Option<&Arc<Domain>> {
        match domain {
            DomainRef::Name(name) => self.domains.get(name),
            DomainRef::Uuid(uuid) if uuid.as_str() == DomainUuid::DOM0 => {
                self.domains.get(&DomainName::dom0())
            }
            DomainRef::Uuid(uuid) => self.domains.get(self.by_uuid.get(uuid)?),
        }
    }

    /// All domains, sorted by name.
    pub fn domains(&self) -> Vec<&Arc<Domain>> {
        let mut all: Vec<_> = self.domains.values().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// How many domains there are, dom0 included.
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }
}

#[derive(Deserialize)]
struct Document {
    domains: BTreeMap<DomainName, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    class: String,
    uuid: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    template_for_dispvms: Option<bool>,
    default_dispvm: Option<DomainName>,
    power_state: Option<String>,
    label: Option<String>,
    icon: Option<String>,
    guivm: Option<DomainName>,
    internal: Option<bool>,
    relayvm: Option<DomainName>,
    transport_rpc: Option<String>,
}

impl From<Document> for System {
    fn from(document: Document) -> Self {
        Self::new(document.domains.into_iter().map(|(name, entry)| {
            let uuid = entry.uuid.as_deref();
            let uuid = uuid.map(|text| text.strip_prefix("uuid:").unwrap_or(text));
            Domain {
                name,
                class: entry.class,
                uuid: uuid.and_then(|text| DomainUuid::parse(text).ok()),
                tags: entry.tags,
                template_for_dispvms: entry.template_for_dispvms.unwrap_or(false),
                default_dispvm: entry.default_dispvm,
                power_state: entry.power_state.unwrap_or_default(),
                label: entry.label.unwrap_or_default(),
                icon: entry.icon.unwrap_or_default(),
                guivm: entry.guivm,
                internal: entry.internal.unwrap_or(false),
                relayvm: entry.relayvm,
                transport_rpc: entry.transport_rpc,
            }
        }))
    }
}
