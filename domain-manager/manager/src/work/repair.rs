// SPDX-License-Identifier: GPL-3.0-or-later
//! Bringing everything into agreement after a restart, however the last run ended.
//!
//! The record of each domain says what was intended, the hypervisor what runs, the pool what
//! lies around:
//!
//! | record | guest runs | what is done |
//! |---|---|---|
//! | creating | – | undone: volumes and record go |
//! | halted | no | run's leftovers are put away |
//! | halted, starting | yes | the guest is destroyed, then as above |
//! | starting | no | as halted |
//! | running | yes | adopted: it gets new daemons |
//! | running | no | it ended meanwhile: as halted |
//! | removing | either | finished: guest, volumes and record go |
//!
//! Disposables that do not run go, and so do those of an owner other than dom0: the daemon
//! that would have ended them is gone. Guests that no record knows are somebody else's.

use std::fmt;
use std::rc::Rc;

use bulkhead_hypervisor::{Death, GuestState, RunningGuest};
use bulkhead_storage::KnownDomain;
use bulkhead_types::DomainName;
use serde::Serialize;
use tokio::sync::watch;

use super::{COPYING, Manager, QUICK, Run, plan};
use crate::daemons::end_strays;
use crate::failure::Failure;
use crate::life::Life;
use crate::model::{Class, Domain, Stage};

/// What a repair found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// Daemons of an earlier run that were ended.
    pub daemons_ended: usize,
    /// Domains whose guests run on.
    pub adopted: Vec<DomainName>,
    /// Guests that were destroyed, half started or without an owner.
    pub destroyed: Vec<DomainName>,
    /// Domains that were removed: half made, half removed, or disposables that ended.
    pub removed: Vec<DomainName>,
    /// Folders in the pool that belonged to nobody.
    pub orphans: Vec<String>,
    /// Domains whose lasting volumes are not there. Nothing was done about them.
    pub missing: Vec<DomainName>,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |domains: &[DomainName]| {
            let names: Vec<&str> = domains.iter().map(DomainName::as_str).collect();
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(" ")
            }
        };
        write!(
            f,
            "domains that run on: {}; guests destroyed: {}; domains removed: {}; orphans in the pool: {}; without volumes: {}; daemons ended: {}",
            names(&self.adopted),
            names(&self.destroyed),
            names(&self.removed),
            self.orphans.len(),
            names(&self.missing),
            self.daemons_ended,
        )
    }
}

enum Fate {
    Adopt(RunningGuest),
    Halt,
    Remove,
}

impl Manager {
    /// Repairs. Doing it again finds nothing more to do.
    pub async fn repair(self: &Rc<Self>) -> Result<Repair, Failure> {
        let root = self.layout.root().to_owned();
        let daemons_ended = self.host(QUICK, move |_| Ok(end_strays(&root))).await?;
        // The daemons that a killed manager listened to are gone. What cannot be removed is
        // replaced one by one.
        let _ = std::fs::remove_dir_all(self.notify_folder());
        let mut repair = Repair {
            daemons_ended,
            ..Repair::default()
        };
        let mut guests = self.host(QUICK, |host| host.guests()).await?;
        let domains: Vec<Domain> = {
            let model = self.model();
            let domains = model.all().map(|entry| entry.domain.clone());
            domains
                .filter(|domain| domain.class != Class::AdminVM)
                .collect()
        };

        let mut adopted = Vec::new();
        let mut known = Vec::new();
        let mut leaving = Vec::new();
        for domain in domains {
            let guest = guests.iter().position(|guest| guest.uuid == domain.uuid);
            let guest = guest.map(|index| guests.swap_remove(index));
            let fate = fate(&domain, guest.clone());
            if let (Fate::Halt | Fate::Remove, Some(guest)) = (&fate, guest) {
                self.host(QUICK, move |host| host.destroy_guest(guest.domid))
                    .await?;
                repair.destroyed.push(domain.name.clone());
            }
            if matches!(fate, Fate::Remove) {
                leaving.push(domain);
                continue;
            }
            match plan::volumes(&self.model(), &domain) {
                Ok(volumes) => known.push(KnownDomain {
                    name: domain.name.clone(),
                    volumes,
                    running: matches!(fate, Fate::Adopt(_)),
                }),
                Err(failure) => {
                    tracing::error!("{failure}");
                    // Its volumes are not for us to judge; the pool leaves alone what runs.
                    known.push(KnownDomain {
                        name: domain.name.clone(),
                        volumes: Vec::new(),
                        running: true,
                    });
                }
            }
            match fate {
                Fate::Adopt(guest) => adopted.push((domain, guest)),
                _ if domain.stage != Stage::Halted => self.record(&domain.uuid, Stage::Halted)?,
                _ => {}
            }
        }
        let pool = self
            .host(COPYING, move |host| host.repair_volumes(&known))
            .await?;
        repair.missing = pool.missing;
        for domain in leaving {
            self.forget_domain(&domain).await?;
            repair.removed.push(domain.name);
        }
        let removed = |orphan: &String| repair.removed.iter().any(|name| name.as_str() == orphan);
        repair.orphans = pool
            .orphans
            .into_iter()
            .filter(|orphan| !removed(orphan))
            .collect();
        for (domain, guest) in adopted {
            self.adopt(&domain, &guest)?;
            repair.adopted.push(domain.name);
        }
        self.bury_the_fallen(&repair.adopted).await?;
        self.publish();
        Ok(repair)
    }

    /// Removes what is left of a domain without telling its life: nobody has seen it.
    async fn forget_domain(&self, domain: &Domain) -> Result<(), Failure> {
        self.record(&domain.uuid, Stage::Removing)?;
        self.remove_material(domain).await?;
        let state = &mut *self.state.borrow_mut();
        state.store.delete(&domain.uuid)?;
        state.model.forget(&domain.uuid);
        Ok(())
    }

    /// A guest that ended before it was adopted was announced to nobody.
    async fn bury_the_fallen(self: &Rc<Self>, adopted: &[DomainName]) -> Result<(), Failure> {
        let guests = self.host(QUICK, |host| host.guests()).await?;
        for name in adopted {
            let guest = {
                let model = self.model();
                let entry = model.uuid_of(name).and_then(|uuid| model.get(uuid));
                entry.and_then(|entry| entry.life.guest())
            };
            if let Some(domid) = guest
                && !guests.iter().any(|guest| guest.domid == domid)
            {
                self.guest_died(&Death {
                    domid,
                    name: name.clone(),
                });
            }
        }
        Ok(())
    }

    fn adopt(self: &Rc<Self>, domain: &Domain, guest: &RunningGuest) -> Result<(), Failure> {
        let life = Life::adopted(guest.domid, guest.state == GuestState::Paused);
        self.state.borrow_mut().model.put(domain.clone(), life);
        let daemons = self.spawn_crew(domain, guest.domid)?;
        let run = Run {
            daemons,
            interrupt: watch::channel(None).0,
        };
        self.state
            .borrow_mut()
            .runs
            .insert(domain.uuid.clone(), run);
        tracing::info!("domain {} runs on as guest {}", domain.name, guest.domid);
        Ok(())
    }
}

fn fate(domain: &Domain, guest: Option<RunningGuest>) -> Fate {
    let guest = guest.filter(|guest| guest.state != GuestState::Ending);
    let unattended = domain.dispid.is_some() && !domain.created_by.is_dom0();
    match (domain.stage, guest) {
        (Stage::Creating | Stage::Removing, _) => Fate::Remove,
        (Stage::Running, Some(guest)) if !(domain.auto_cleanup() && unattended) => {
            Fate::Adopt(guest)
        }
        _ if domain.auto_cleanup() => Fate::Remove,
        _ => Fate::Halt,
    }
}
