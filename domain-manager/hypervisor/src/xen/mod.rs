// SPDX-License-Identifier: GPL-3.0-or-later
//! Guests as Xen domains.

use bulkhead_types::{DomId, DomainName};

use crate::deaths::Deaths;
use crate::error::{ControlError, CreateError, ListError, OpenError};
use crate::spec::{GuestSpec, RunningGuest};

/// The Xen back end.
#[derive(Debug)]
pub struct XenHypervisor {}

impl XenHypervisor {
    pub(crate) fn open() -> Result<Self, OpenError> {
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
