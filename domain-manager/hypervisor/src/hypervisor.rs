// SPDX-License-Identifier: GPL-3.0-or-later
//! The one interface, over whichever back end was opened.

use bulkhead_types::{DomId, DomainName, Layout};

use crate::deaths::Deaths;
use crate::error::{ControlError, CreateError, ListError, OpenError};
use crate::local::{LocalHypervisor, LocalOptions};
use crate::spec::{GuestSpec, RunningGuest};
use crate::xen::XenHypervisor;

/// A back end that runs guests.
#[derive(Debug)]
pub enum Hypervisor {
    /// Real domains.
    Xen(XenHypervisor),
    /// Process trees, for trying and testing; isolates nothing.
    Local(LocalHypervisor),
}

impl Hypervisor {
    /// Opens the Xen this machine runs on and takes over the guests that were made below
    /// `layout`.
    pub fn xen(layout: &Layout) -> Result<Self, OpenError> {
        XenHypervisor::open(layout).map(Self::Xen)
    }

    /// Opens the local back end below `layout` and takes over the guests that run there.
    pub fn local(layout: &Layout, options: LocalOptions) -> Result<Self, OpenError> {
        LocalHypervisor::open(layout, options).map(Self::Local)
    }

    /// What a user must be told before relying on this back end.
    pub fn warning(&self) -> Option<&'static str> {
        match self {
            Self::Xen(_) => None,
            Self::Local(_) => Some(LocalHypervisor::WARNING),
        }
    }

    /// Makes a guest and leaves it paused before its first instruction.
    pub fn create(&self, spec: &GuestSpec) -> Result<DomId, CreateError> {
        match self {
            Self::Xen(xen) => xen.create(spec),
            Self::Local(local) => local.create(spec),
        }
    }

    /// Lets a paused guest run; a running one stays as it is.
    pub fn unpause(&self, guest: DomId) -> Result<(), ControlError> {
        match self {
            Self::Xen(xen) => xen.unpause(guest),
            Self::Local(local) => local.unpause(guest),
        }
    }

    /// Stops a guest in place until [`Self::unpause`].
    pub fn pause(&self, guest: DomId) -> Result<(), ControlError> {
        match self {
            Self::Xen(xen) => xen.pause(guest),
            Self::Local(local) => local.pause(guest),
        }
    }

    /// Asks a guest to end itself and returns at once; it may take its time or refuse.
    pub fn request_shutdown(&self, guest: DomId) -> Result<(), ControlError> {
        match self {
            Self::Xen(xen) => xen.request_shutdown(guest),
            Self::Local(local) => local.request_shutdown(guest),
        }
    }

    /// Ends a guest without asking it. When this returns, none of it runs any more.
    pub fn destroy(&self, guest: DomId) -> Result<(), ControlError> {
        match self {
            Self::Xen(xen) => xen.destroy(guest),
            Self::Local(local) => local.destroy(guest),
        }
    }

    /// Removes what is left of a guest that has ended, once nobody speaks with it any more.
    pub fn clear_after(&self, guest: DomId) -> Result<(), ControlError> {
        match self {
            Self::Xen(xen) => xen.clear_after(guest),
            Self::Local(local) => local.clear_after(guest),
        }
    }

    /// The guests that exist now, by number; the administrative domain is not one of them.
    pub fn list(&self) -> Result<Vec<RunningGuest>, ListError> {
        match self {
            Self::Xen(xen) => xen.list(),
            Self::Local(local) => local.list(),
        }
    }

    /// Subscribes to the ends of guests, however they come about, [`Self::destroy`] included.
    pub fn deaths(&self) -> Deaths {
        match self {
            Self::Xen(xen) => xen.deaths(),
            Self::Local(local) => local.deaths(),
        }
    }

    /// The last lines of what a guest wrote to its console, for people to read; empty when
    /// it wrote nothing. It can be read after the guest's end, until the name runs again.
    ///
    /// Control characters are replaced: the text is safe to print on a terminal.
    pub fn console_tail(&self, guest: &DomainName, lines: usize) -> String {
        match self {
            Self::Xen(xen) => xen.console_tail(guest, lines),
            Self::Local(local) => local.console_tail(guest, lines),
        }
    }

    /// What a daemon needs in its environment to open channels to these guests.
    pub fn child_environment(&self) -> Vec<(String, String)> {
        match self {
            Self::Xen(xen) => xen.child_environment(),
            Self::Local(local) => local.child_environment(),
        }
    }
}
