// SPDX-License-Identifier: GPL-3.0-or-later
//! Guests as process trees.

use std::path::PathBuf;

use bulkhead_types::{DomId, DomainName, Layout};

use crate::deaths::Deaths;
use crate::error::{ControlError, CreateError, ListError, OpenError};
use crate::spec::{GuestSpec, RunningGuest};

/// What the local back end needs to know of the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalOptions {
    /// Where our programs are, those for guests among them: `/usr/lib/bulkhead`, or a
    /// source tree's `target/debug`.
    pub programs: PathBuf,
    /// The list of what goes into a guest and the files it names: `templates/guest`.
    pub guest_files: PathBuf,
}

/// The local back end.
#[derive(Debug)]
pub struct LocalHypervisor {}

impl LocalHypervisor {
    /// What a user must be told.
    pub const WARNING: &'static str = "the local back end isolates nothing: its guests are \
        ordinary processes of this machine, for trying and testing only";

    pub(crate) fn open(_layout: &Layout, _options: LocalOptions) -> Result<Self, OpenError> {
        todo!()
    }
    pub(crate) fn create(&self, _spec: &GuestSpec) -> Result<DomId, CreateError> {
        todo!()
    }
    pub(crate) fn unpause(&self, _guest: DomId) -> Result<(), ControlError> {
        todo!()
    }
    pub(crate) fn pause(&self, _guest: DomId) -> Result<(), ControlError> {
        todo!()
    }
    pub(crate) fn request_shutdown(&self, _guest: DomId) -> Result<(), ControlError> {
        todo!()
    }
    pub(crate) fn destroy(&self, _guest: DomId) -> Result<(), ControlError> {
        todo!()
    }
    pub(crate) fn list(&self) -> Result<Vec<RunningGuest>, ListError> {
        todo!()
    }
    pub(crate) fn deaths(&self) -> Deaths {
        todo!()
    }
    pub(crate) fn console_tail(&self, _guest: &DomainName, _lines: usize) -> String {
        todo!()
    }
    pub(crate) fn child_environment(&self) -> Vec<(String, String)> {
        todo!()
    }
}
