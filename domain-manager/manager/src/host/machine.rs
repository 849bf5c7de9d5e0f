// SPDX-License-Identifier: GPL-3.0-or-later
//! The real machine: a pool of volumes and a hypervisor.

use std::path::Path;

use bulkhead_hypervisor::OpenError as NoHypervisor;
use bulkhead_hypervisor::{
    ControlError, CreateError, Death, GuestSpec, Hypervisor, LocalOptions, RunningGuest,
};
use bulkhead_storage::{
    KnownDomain, OpenError as NoPool, Pool, PoolOptions, Repaired, StartedVolume, VolumeError,
    VolumeSpec,
};
use bulkhead_types::{DomId, DomainName, Layout, VolumeName};
use thiserror::Error;

use super::{Host, HostError, HostErrorKind};
use crate::settings::{Backend, Settings};

/// Lines of a guest's console that go into an error.
const CONSOLE_LINES: usize = 15;

/// A pool and a hypervisor.
#[derive(Debug)]
pub struct Machine {
    pool: Pool,
    hypervisor: Hypervisor,
}

/// The machine cannot be used.
#[derive(Debug, Error)]
pub enum MachineError {
    /// No volumes.
    #[error("cannot open the storage pool")]
    Pool(#[from] NoPool),
    /// No guests.
    #[error("cannot open the {} back end", .0.name())]
    Hypervisor(Backend, #[source] NoHypervisor),
}

impl MachineError {
    /// What to do about it, if that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Pool(error) => error.hint(),
            Self::Hypervisor(_, error) => error.hint().map(str::to_owned),
        }
    }
}

impl Machine {
    /// Opens what the settings name. `identity` tells this installation's pool from others'.
    pub fn open(
        layout: &Layout,
        settings: &Settings,
        identity: &str,
    ) -> Result<Self, MachineError> {
        // First: on a machine that cannot run guests the pool does not matter.
        let hypervisor = match settings.backend {
            Backend::Xen => Hypervisor::xen(layout),
            Backend::Local => Hypervisor::local(
                layout,
                LocalOptions {
                    programs: settings.programs.clone(),
                    guest_files: settings.guest_files.clone(),
                },
            ),
        };
        let hypervisor =
            hypervisor.map_err(|error| MachineError::Hypervisor(settings.backend, error))?;
        let options = PoolOptions::new(identity);
        let pool = match settings.backend {
            Backend::Xen => Pool::reflink(&settings.pool, options),
            Backend::Local => Pool::directory(&settings.pool, options),
        }?;
        Ok(Self { pool, hypervisor })
    }
}

fn storage(error: VolumeError) -> HostError {
    HostError::new(HostErrorKind::Storage, &error)
}

fn control(error: ControlError) -> HostError {
    let kind = match &error {
        ControlError::NoSuchGuest(_) => HostErrorKind::NoSuchGuest,
        ControlError::Failed { .. } => HostErrorKind::Other,
    };
    HostError::new(kind, &error)
}

impl Host for Machine {
    fn create_volumes(
        &self,
        domain: &DomainName,
        volumes: &[VolumeSpec],
        image: Option<&Path>,
    ) -> Result<(), HostError> {
        // A guest of the local back end sees this machine's own system: no image is needed.
        let image = image.filter(|_| matches!(self.hypervisor, Hypervisor::Xen(_)));
        let images: Vec<_> = image
            .into_iter()
            .map(|path| (VolumeName::Root, path))
            .collect();
        self.pool.create(domain, volumes, &images).map_err(storage)
    }

    fn start_volumes(
        &self,
        domain: &DomainName,
        volumes: &[VolumeSpec],
    ) -> Result<Vec<StartedVolume>, HostError> {
        self.pool.start(domain, volumes).map_err(storage)
    }

    fn stop_volumes(&self, domain: &DomainName, volumes: &[VolumeSpec]) -> Result<(), HostError> {
        self.pool.stop(domain, volumes).map_err(storage)
    }

    fn remove_volumes(&self, domain: &DomainName) -> Result<(), HostError> {
        self.pool.remove(domain).map_err(storage)
    }

    fn repair_volumes(&self, known: &[KnownDomain]) -> Result<Repaired, HostError> {
        self.pool.repair(known).map_err(storage)
    }

    fn create_guest(&self, spec: &GuestSpec) -> Result<DomId, HostError> {
        self.hypervisor.create(spec).map_err(|error| {
            let kind = match &error {
                CreateError::OutOfMemory { .. } => HostErrorKind::OutOfMemory,
                _ => HostErrorKind::Other,
            };
            HostError::new(kind, &error)
        })
    }

    fn unpause_guest(&self, guest: DomId) -> Result<(), HostError> {
        self.hypervisor.unpause(guest).map_err(control)
    }

    fn pause_guest(&self, guest: DomId) -> Result<(), HostError> {
        self.hypervisor.pause(guest).map_err(control)
    }

    fn request_shutdown(&self, guest: DomId) -> Result<(), HostError> {
        self.hypervisor.request_shutdown(guest).map_err(control)
    }

    fn destroy_guest(&self, guest: DomId) -> Result<(), HostError> {
        match self.hypervisor.destroy(guest) {
            Ok(()) | Err(ControlError::NoSuchGuest(_)) => Ok(()),
            Err(error) => Err(control(error)),
        }
    }

    fn clear_after_guest(&self, guest: DomId) -> Result<(), HostError> {
        self.hypervisor.clear_after(guest).map_err(control)
    }

    fn guests(&self) -> Result<Vec<RunningGuest>, HostError> {
        let listed = self.hypervisor.list();
        listed.map_err(|error| HostError::new(HostErrorKind::Other, &error))
    }

    fn deaths(&self) -> Box<dyn Iterator<Item = Death> + Send> {
        Box::new(self.hypervisor.deaths())
    }

    fn console_tail(&self, guest: &DomainName) -> String {
        self.hypervisor.console_tail(guest, CONSOLE_LINES)
    }

    fn child_environment(&self) -> Vec<(String, String)> {
        self.hypervisor.child_environment()
    }

    fn warning(&self) -> Option<String> {
        self.hypervisor.warning().map(str::to_owned)
    }
}
