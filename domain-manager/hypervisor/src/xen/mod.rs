// SPDX-License-Identifier: GPL-3.0-or-later
//! Guests as Xen domains, made and ended through `xl`.
//!
//! `xl create -e` leaves no process behind that would watch the domain, so this does: Xen tells
//! `@releaseDomain` in xenstore of each domain that shut down or is gone. One that shut down
//! still holds its memory and disks until it is destroyed, which is done at once.
//!
//! A domain is ours if its configuration lies in our folder; others, which an administrator
//! may have made, are neither listed nor touched.

mod configuration;
mod guests;
mod releases;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use bulkhead_types::{DomId, DomainName, Layout};
use bulkhead_xen::xl::{Xl, XlError};

use crate::console;
use crate::deaths::Deaths;
use crate::error::{ControlError, CreateError, ListError, OpenError};
use crate::files;
use crate::spec::{GuestSpec, RunningGuest};
use guests::Guests;

/// Says what a domain may do with Xen; dom0's holds the word `control_d`.
const CAPABILITIES: &str = "/proc/xen/capabilities";
/// Where xenconsoled keeps what guests write to their consoles.
const CONSOLES: &str = "/var/log/xen/console";

/// The Xen back end.
#[derive(Debug)]
pub struct XenHypervisor {
    xl: Xl,
    guests: Arc<Guests>,
}

impl XenHypervisor {
    pub(crate) fn open(layout: &Layout) -> Result<Self, OpenError> {
        let capabilities = fs::read_to_string(CAPABILITIES).unwrap_or_default();
        if !capabilities.contains("control_d") {
            return Err(OpenError::NoXen {
                missing: CAPABILITIES.into(),
            });
        }
        let releases = releases::releases().map_err(|error| OpenError::Failed {
            path: releases::WATCHED.into(),
            source: error.into(),
        })?;
        Self::with(Xl::default(), &layout.runtime().join("xen"), releases)
    }

    /// Works with that `xl`; an item of `releases` means that some domain may have ended.
    fn with(
        xl: Xl,
        folder: &Path,
        releases: impl Iterator<Item = ()> + Send + 'static,
    ) -> Result<Self, OpenError> {
        let failed = |source: crate::error::Cause| OpenError::Failed {
            path: folder.to_owned(),
            source,
        };
        fs::create_dir_all(folder).map_err(|error| failed(error.into()))?;
        let guests = Arc::new(Guests::new(xl.clone(), folder.to_owned()));
        guests.adopt().map_err(|error| match error {
            XlError::NotRun { program, source } if source.kind() == io::ErrorKind::NotFound => {
                OpenError::NoProgram(program)
            }
            error => failed(error.into()),
        })?;
        // The thread ends with the back end.
        let watcher = Arc::downgrade(&guests);
        thread::spawn(move || {
            for () in releases {
                match watcher.upgrade() {
                    Some(guests) => guests.look(),
                    None => return,
                }
            }
            tracing::error!("xenstore reports no more ends of domains");
        });
        Ok(Self { xl, guests })
    }

    pub(crate) fn create(&self, spec: &GuestSpec) -> Result<DomId, CreateError> {
        files::look_for(spec)?;
        let config = configuration::of(spec)?;
        let _alone = self.guests.alone();
        if self.guests.has(&spec.name) {
            return Err(CreateError::NameTaken(spec.name.clone()));
        }
        let file = self.guests.configuration_file(&spec.name);
        match self.xl.create(&config, &file) {
            Ok(domid) => {
                self.guests.add(domid, &spec.name);
                Ok(domid)
            }
            Err(error) => {
                self.guests
                    .clear_half_made(std::slice::from_ref(&spec.uuid));
                // The first error is the one to tell; the next start tidies up.
                let _ = fs::remove_file(&file);
                let free = || self.xl.free_memory_mib().ok();
                Err(configuration::refused(spec, error, free))
            }
        }
    }

    pub(crate) fn unpause(&self, guest: DomId) -> Result<(), ControlError> {
        self.order(guest, "unpaused", Xl::unpause)
    }

    pub(crate) fn pause(&self, guest: DomId) -> Result<(), ControlError> {
        self.order(guest, "paused", Xl::pause)
    }

    pub(crate) fn request_shutdown(&self, guest: DomId) -> Result<(), ControlError> {
        self.order(guest, "asked to shut down", Xl::shutdown)
    }

    pub(crate) fn destroy(&self, guest: DomId) -> Result<(), ControlError> {
        match self.order(guest, "destroyed", Xl::destroy) {
            // It ended by itself meanwhile.
            Err(ControlError::NoSuchGuest(_)) if self.guests.knows(guest) => {}
            answer => answer?,
        }
        self.guests.ended(guest);
        Ok(())
    }

    /// What programs of dom0 that were killed offered to the guest: Xen and the kernel free
    /// everything else.
    pub(crate) fn clear_after(&self, guest: DomId) -> Result<(), ControlError> {
        bulkhead_vchan::remove_offers(guest).map_err(|error| ControlError::Failed {
            domid: guest,
            done: "cleared away",
            source: error.into(),
        })
    }

    fn order(
        &self,
        guest: DomId,
        done: &'static str,
        order: fn(&Xl, DomId) -> Result<(), XlError>,
    ) -> Result<(), ControlError> {
        if !self.guests.knows(guest) {
            return Err(ControlError::NoSuchGuest(guest));
        }
        order(&self.xl, guest).map_err(|error| match error {
            XlError::NoSuchDomain(_) => ControlError::NoSuchGuest(guest),
            error => ControlError::Failed {
                domid: guest,
                done,
                source: error.into(),
            },
        })
    }

    pub(crate) fn list(&self) -> Result<Vec<RunningGuest>, ListError> {
        self.guests.list().map_err(|error| ListError {
            source: error.into(),
        })
    }

    pub(crate) fn deaths(&self) -> Deaths {
        self.guests.deaths()
    }

    pub(crate) fn console_tail(&self, guest: &DomainName, lines: usize) -> String {
        let log = Path::new(CONSOLES).join(format!("guest-{guest}.log"));
        console::tail(&log, lines)
    }

    pub(crate) fn child_environment(&self) -> Vec<(String, String)> {
        vec![("BULKHEAD_VCHAN".into(), "xen".into())]
    }
}
