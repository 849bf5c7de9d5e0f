// SPDX-License-Identifier: GPL-3.0-or-later
//! What the manager needs from the machine: volumes and guests.
//!
//! The calls block; the manager makes them on other threads and with a deadline. The real
//! one is [`Machine`]; tests have one whose guests and volumes are files.

mod machine;

use std::error::Error as StdError;
use std::path::Path;

use bulkhead_hypervisor::{Death, GuestSpec, RunningGuest};
use bulkhead_storage::{KnownDomain, Repaired, StartedVolume, VolumeSpec};
use bulkhead_types::{DomId, DomainName};
use thiserror::Error;

pub use machine::{Machine, MachineError};

/// What kind of failure it was, where that makes a difference to the manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostErrorKind {
    /// There is not enough free memory.
    OutOfMemory,
    /// The guest does not exist (any more).
    NoSuchGuest,
    /// A volume or the pool.
    Storage,
    /// Anything else.
    Other,
}

/// The machine refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct HostError {
    /// What kind of failure.
    pub kind: HostErrorKind,
    /// What happened and why, all causes in one line.
    pub message: String,
}

impl HostError {
    /// From an error and its causes.
    pub fn new(kind: HostErrorKind, error: &dyn StdError) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(&format!(": {error}"));
            cause = error.source();
        }
        Self { kind, message }
    }
}

/// Volumes and guests.
pub trait Host: Send + Sync + 'static {
    /// Makes the lasting volumes of a new domain; a template's root from `image` if given.
    fn create_volumes(
        &self,
        domain: &DomainName,
        volumes: &[VolumeSpec],
        image: Option<&Path>,
    ) -> Result<(), HostError>;

    /// Makes the working copies for a run, clearing what an earlier run left.
    fn start_volumes(
        &self,
        domain: &DomainName,
        volumes: &[VolumeSpec],
    ) -> Result<Vec<StartedVolume>, HostError>;

    /// Keeps what is to be kept of a run and drops the rest. Without a run it does nothing.
    fn stop_volumes(&self, domain: &DomainName, volumes: &[VolumeSpec]) -> Result<(), HostError>;

    /// Removes all volumes of a domain. Without volumes it does nothing.
    fn remove_volumes(&self, domain: &DomainName) -> Result<(), HostError>;

    /// Brings the pool into agreement with the domains there are.
    fn repair_volumes(&self, known: &[KnownDomain]) -> Result<Repaired, HostError>;

    /// Makes a guest, paused.
    fn create_guest(&self, spec: &GuestSpec) -> Result<DomId, HostError>;

    /// Lets a paused guest run.
    fn unpause_guest(&self, guest: DomId) -> Result<(), HostError>;

    /// Holds a guest.
    fn pause_guest(&self, guest: DomId) -> Result<(), HostError>;

    /// Asks a guest to end.
    fn request_shutdown(&self, guest: DomId) -> Result<(), HostError>;

    /// Ends a guest; that there is none is no error.
    fn destroy_guest(&self, guest: DomId) -> Result<(), HostError>;

    /// Removes what is left of a guest that is gone once the daemons that faced it are, too.
    fn clear_after_guest(&self, guest: DomId) -> Result<(), HostError>;

    /// The guests there are.
    fn guests(&self) -> Result<Vec<RunningGuest>, HostError>;

    /// The ends of guests from now on; blocks.
    fn deaths(&self) -> Box<dyn Iterator<Item = Death> + Send>;

    /// The last lines of a guest's console, safe to print.
    fn console_tail(&self, guest: &DomainName) -> String;

    /// What daemons need in their environment to reach guests.
    fn child_environment(&self) -> Vec<(String, String)>;

    /// What a user has to be told before relying on this machine.
    fn warning(&self) -> Option<String>;
}
