// SPDX-License-Identifier: GPL-3.0-or-later
//! Which run of each domain is the present one.
//!
//! The domain manager tells each domain's number in Xen beside what policy needs to know. A
//! domain that was stopped and started again has another one, also when nobody was told of
//! the time between.

use std::collections::{BTreeMap, HashMap};

use bulkhead_types::DomainName;
use serde::Deserialize;

/// The domains that run, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs(HashMap<DomainName, u32>);

#[derive(Deserialize)]
struct Document {
    domains: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    power_state: Option<String>,
    domid: Option<u32>,
}

impl Runs {
    /// Reads them from the system information. Domains whose number is not told are left out.
    ///
    /// # Errors
    ///
    /// Anything but that document.
    pub(crate) fn read(document: &[u8]) -> Result<Self, serde_json::Error> {
        let document: Document = serde_json::from_slice(document)?;
        let running = document.domains.into_iter().filter_map(|(name, entry)| {
            let runs = entry.power_state.as_deref() == Some("Running");
            let domid = entry.domid.filter(|_| runs)?;
            Some((DomainName::parse(&name).ok()?, domid))
        });
        Ok(Self(running.collect()))
    }

    /// The number of a domain's present run.
    pub(crate) fn of(&self, domain: &DomainName) -> Option<u32> {
        self.0.get(domain).copied()
    }
}
