// SPDX-License-Identifier: MIT OR Apache-2.0
//! What policy has to know of the domains: the domain manager's system information.
//!
//! [`System`] is read from the JSON of `internal.GetSystemInfo` (specification of qrexec,
//! 2.4) with any serde format; unknown fields are skipped and absent ones are unset.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_types::{DomainName, DomainUuid, InvalidDomainName};
use serde::Deserialize;

use crate::call::DomainRef;
use crate::hash::Map;
use crate::verdict::Denial;

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
    pub fn get(&self, name: &DomainName) -> Option<&Arc<Domain>> {
        self.domains.get(self.position(name)?)
    }

    /// Where a domain stands in [`Self::domains`].
    pub fn position(&self, name: &DomainName) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The domain that is meant.
    pub fn find(&self, domain: &DomainRef) -> Option<&Arc<Domain>> {
        self.domains.get(self.locate(domain)?)
    }

    /// Where the domain that is meant stands in [`Self::domains`].
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
    pub fn domains(&self) -> &[Arc<Domain>] {
        &self.domains
    }

    /// How many domains there are, dom0 included.
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Whether `relay` may speak for `remote`: a remote domain that is reached through it.
    ///
    /// # Errors
    ///
    /// Why it may not, as the refusal of the call (specification of qrexec, 2.7).
    pub fn may_speak_for(&self, relay: &DomainRef, remote: &DomainRef) -> Result<(), Denial> {
        let spoken_for = self.find(remote).filter(|d| d.class == REMOTE);
        let Some(spoken_for) = spoken_for else {
            return Err(Denial::NotRemote(remote.to_string()));
        };
        let via = spoken_for.relayvm.as_ref();
        match via.and_then(|name| self.get(name)) {
            Some(via) if self.find(relay).is_some_and(|r| r.name == via.name) => Ok(()),
            _ => Err(Denial::NotRelay {
                relay: relay.to_string(),
                remote: remote.to_string(),
            }),
        }
    }
}

/// The class of domains that live on another machine.
pub(crate) const REMOTE: &str = "RemoteVM";

#[derive(Deserialize)]
struct Document {
    domains: BTreeMap<String, Entry>,
}

/// Properties that are missing, null or empty count as unset: what a domain lacks makes rules
/// about it match less, never more.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    class: Option<String>,
    uuid: Option<String>,
    tags: Option<Vec<String>>,
    template_for_dispvms: Option<bool>,
    default_dispvm: Option<String>,
    power_state: Option<String>,
    label: Option<String>,
    icon: Option<String>,
    guivm: Option<String>,
    internal: Option<bool>,
    relayvm: Option<String>,
    transport_rpc: Option<String>,
}

impl TryFrom<Document> for System {
    type Error = InvalidDomainName;

    fn try_from(document: Document) -> Result<Self, InvalidDomainName> {
        // Some writers list each domain a second time under its UUID.
        let named = document.domains.into_iter();
        let named = named.filter(|(name, _)| !name.starts_with("uuid:"));
        let domain = |(name, entry): (String, Entry)| {
            let name_of = |text: Option<String>| text.and_then(|n| DomainName::parse(&n).ok());
            let uuid = entry.uuid.as_deref();
            let uuid = uuid.map(|text| text.strip_prefix("uuid:").unwrap_or(text));
            Ok(Domain {
                name: DomainName::parse(&name)?,
                class: entry.class.unwrap_or_default(),
                uuid: uuid.and_then(|text| DomainUuid::parse(text).ok()),
                tags: entry.tags.unwrap_or_default(),
                template_for_dispvms: entry.template_for_dispvms.unwrap_or(false),
                default_dispvm: name_of(entry.default_dispvm),
                power_state: entry.power_state.unwrap_or_default(),
                label: entry.label.unwrap_or_default(),
                icon: entry.icon.unwrap_or_default(),
                guivm: name_of(entry.guivm),
                internal: entry.internal.unwrap_or(false),
                relayvm: name_of(entry.relayvm),
                transport_rpc: entry.transport_rpc.filter(|rpc| !rpc.is_empty()),
            })
        };
        let domains: Result<Vec<_>, _> = named.map(domain).collect();
        Ok(Self::new(domains?))
    }
}
