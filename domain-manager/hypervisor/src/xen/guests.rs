// SPDX-License-Identifier: GPL-3.0-or-later
//! The domains that are ours, and the end of each.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bulkhead_types::{DomId, DomainName, DomainUuid};
use bulkhead_xen::xl::{Listed, RunState, Xl, XlError};
use nix::fcntl::{Flock, FlockArg};

use crate::deaths::{Announcer, Deaths};
use crate::spec::{Death, GuestState, RunningGuest};

/// Our domains.
#[derive(Debug)]
pub(super) struct Guests {
    xl: Xl,
    folder: PathBuf,
    known: Mutex<BTreeMap<DomId, DomainName>>,
    /// One creation at a time: a configuration file belongs to whoever creates.
    creation: Mutex<()>,
    announcer: Announcer,
}

impl Guests {
    pub(super) fn new(xl: Xl, folder: PathBuf) -> Self {
        Self {
            xl,
            folder,
            known: Mutex::default(),
            creation: Mutex::default(),
            announcer: Announcer::default(),
        }
    }

    /// Where a domain's configuration lies while it lives.
    pub(super) fn configuration_file(&self, name: &DomainName) -> PathBuf {
        self.folder.join(format!("{name}.cfg"))
    }

    /// Takes over the domains that an earlier manager made.
    pub(super) fn adopt(&self) -> Result<(), XlError> {
        self.wait_for_creations();
        let listed = self.xl.list()?;
        let mut whole = Vec::new();
        for domain in listed {
            if let Some(name) = self.our_name(&domain) {
                self.known().insert(domain.id, name);
                whole.extend(domain.uuid);
            }
        }
        let mut begun = self.configured();
        begun.retain(|uuid| !whole.contains(uuid));
        self.clear_half_made(&begun);
        Ok(())
    }

    /// The UUIDs of the domains whose configurations lie in our folder.
    fn configured(&self) -> Vec<DomainUuid> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
        let uuid = |text: String| {
            let value = text.lines().find_map(|line| line.strip_prefix("uuid = "))?;
            DomainUuid::parse(value.trim_matches('"')).ok()
        };
        texts.filter_map(uuid).collect()
    }

    /// Destroys the domains with these UUIDs: an `xl` that was killed while it created them
    /// has left them without a name.
    pub(super) fn clear_half_made(&self, uuids: &[DomainUuid]) {
        if uuids.is_empty() {
            return;
        }
        let there = match self.xl.uuids() {
            Ok(there) => there,
            Err(error) => return tracing::error!("half-made domains are not looked for: {error}"),
        };
        for (domid, uuid) in there {
            if !uuids.contains(&uuid) || domid == DomId::DOM0 {
                continue;
            }
            match self.xl.destroy(domid) {
                Ok(()) | Err(XlError::NoSuchDomain(_)) => {
                    tracing::warn!("the half-made domain {domid} was destroyed");
                }
                Err(error) => tracing::error!("the half-made domain {domid} stays: {error}"),
            }
        }
    }

    /// Waits for domains that a manager was creating when it was killed: `xl` is not killed
    /// with it, and holds a lock on the configuration until the domain is there or has failed.
    fn wait_for_creations(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for file in entries.filter_map(|entry| File::open(entry.path()).ok()) {
            if let Err((_, error)) = Flock::lock(file, FlockArg::LockShared) {
                tracing::warn!("a domain under creation is not waited for: {error}");
            }
        }
    }

    fn our_name(&self, domain: &Listed) -> Option<DomainName> {
        let name = DomainName::parse(&domain.name).ok()?;
        self.configuration_file(&name).exists().then_some(name)
    }

    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        self.creation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, domid: DomId, name: &DomainName) {
        self.known().insert(domid, name.clone());
    }

    pub(super) fn knows(&self, domid: DomId) -> bool {
        self.known().contains_key(&domid)
    }

    pub(super) fn has(&self, name: &DomainName) -> bool {
        self.known().values().any(|known| known == name)
    }

    pub(super) fn list(&self) -> Result<Vec<RunningGuest>, XlError> {
        let states = self.xl.states()?;
        let listed = self.xl.list()?;
        let known = self.known();
        let guest = |domain: &Listed| {
            let name = known.get(&domain.id)?.clone();
            let state = states.iter().find(|state| state.id == domain.id)?;
            Some(RunningGuest {
                domid: domain.id,
                name,
                uuid: domain.uuid.clone()?,
                state: doing(state),
                memory_kib: state.memory_mib * 1024,
            })
        };
        Ok(listed.iter().filter_map(guest).collect())
    }

    /// Looks which of our domains have ended, destroys what is left of them and tells of it.
    pub(super) fn look(&self) {
        // Before the states are taken, so that no domain is missed for being too new.
        let known: Vec<_> = self.known().keys().copied().collect();
        let states = match self.xl.states() {
            Ok(states) => states,
            Err(error) => return tracing::error!("ends of domains are not seen: {error}"),
        };
        for domid in known {
            match states.iter().find(|state| state.id == domid) {
                None => self.ended(domid),
                // What remains is Xen's to free.
                Some(state) if state.dying => self.ended(domid),
                Some(state) if state.shut_down || state.crashed => self.bury(domid),
                Some(_) => {}
            }
        }
    }

    fn bury(&self, domid: DomId) {
        match self.xl.destroy(domid) {
            Ok(()) | Err(XlError::NoSuchDomain(_)) => self.ended(domid),
            Err(error) => tracing::error!("domain {domid}, which has ended, stays: {error}"),
        }
    }

    /// A domain has ended; the first to notice tells.
    pub(super) fn ended(&self, domid: DomId) {
        let mut known = self.known();
        let Some(name) = known.remove(&domid) else {
            return;
        };
        // While the name is still taken. If the file stays, the next creation replaces it.
        let _ = fs::remove_file(self.configuration_file(&name));
        drop(known);
        self.announcer.announce(&Death { domid, name });
    }

    pub(super) fn deaths(&self) -> Deaths {
        self.announcer.subscribe()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<DomId, DomainName>> {
        // A panicking thread cannot leave the map half-changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn doing(state: &RunState) -> GuestState {
    if state.dying || state.shut_down || state.crashed {
        GuestState::Ending
    } else if state.paused {
        GuestState::Paused
    } else {
        GuestState::Running
    }
}
