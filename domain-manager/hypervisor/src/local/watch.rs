// SPDX-License-Identifier: GPL-3.0-or-later
//! The guests that live, and a thread for each that waits for its end.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use bulkhead_types::{DomId, DomainName};

use crate::deaths::{Announcer, Deaths};
use crate::local_guest::{GuestFolder, GuestRecord};
use crate::spec::{Death, RunningGuest};

/// The guests of one local back end.
#[derive(Debug)]
pub(super) struct Watch {
    vchans: PathBuf,
    guests: Mutex<BTreeMap<DomId, (GuestFolder, GuestRecord)>>,
    ended: Condvar,
    announcer: Announcer,
}

impl Watch {
    /// Watches guests that open their vchans in the folder `vchans`.
    pub(super) fn new(vchans: PathBuf) -> Self {
        Self {
            vchans,
            guests: Mutex::default(),
            ended: Condvar::new(),
            announcer: Announcer::default(),
        }
    }

    /// Takes a living guest in. `supervisor` is given if it is our child.
    pub(super) fn add(
        self: &Arc<Self>,
        folder: GuestFolder,
        record: &GuestRecord,
        supervisor: Option<Child>,
    ) {
        let domid = record.domid;
        self.guests()
            .insert(domid, (folder.clone(), record.clone()));
        let (watch, name) = (self.clone(), record.name.clone());
        thread::spawn(move || watch.follow(&folder, &Death { domid, name }, supervisor));
    }

    fn follow(&self, folder: &GuestFolder, death: &Death, supervisor: Option<Child>) {
        let waited = folder.wait_for_lock().map(drop);
        // Collects the exit status; the supervisor has ended or is ending.
        let collected = supervisor.map_or(Ok(()), |mut child| child.wait().map(drop));
        let cleared = self.clear_away(folder, Some(death.domid));
        for error in [waited, collected, cleared]
            .into_iter()
            .filter_map(Result::err)
        {
            tracing::error!("end of guest `{}`: {error}", death.name);
        }
        self.guests().remove(&death.domid);
        self.ended.notify_all();
        self.announcer.announce(death);
    }

    /// Removes what a dead guest left.
    pub(super) fn clear_away(&self, folder: &GuestFolder, domid: Option<DomId>) -> io::Result<()> {
        if let Some(domid) = domid {
            self.clear_meetings(domid)?;
        }
        match std::fs::remove_dir_all(folder.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes what a dead guest, and who waited for it, left where channels meet.
    pub(super) fn clear_meetings(&self, domid: DomId) -> io::Result<()> {
        bulkhead_vchan::remove_leftovers(&self.vchans, domid)
    }

    /// Blocks until a guest's end has been dealt with.
    pub(super) fn wait_until_gone(&self, domid: DomId) {
        let mut guests = self.guests();
        while guests.contains_key(&domid) {
            guests = self
                .ended
                .wait(guests)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn has(&self, name: &DomainName) -> bool {
        self.guests()
            .values()
            .any(|(_, record)| record.name == *name)
    }

    pub(super) fn folder(&self, domid: DomId) -> Option<GuestFolder> {
        self.guests().get(&domid).map(|(folder, _)| folder.clone())
    }

    pub(super) fn list(&self) -> Vec<RunningGuest> {
        let guests = self.guests();
        let guest = |(folder, record): &(GuestFolder, GuestRecord)| RunningGuest {
            domid: record.domid,
            name: record.name.clone(),
            uuid: record.uuid.clone(),
            state: folder.state(),
            memory_kib: u64::from(record.memory_mib) * 1024,
        };
        guests.values().map(guest).collect()
    }

    pub(super) fn deaths(&self) -> Deaths {
        self.announcer.subscribe()
    }

    fn guests(&self) -> MutexGuard<'_, BTreeMap<DomId, (GuestFolder, GuestRecord)>> {
        // A panicking thread cannot leave the map half-changed.
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
