// SPDX-License-Identifier: MIT OR Apache-2.0
//! The news of a domain's end, apart from any channel.

use std::os::fd::BorrowedFd;

use bulkhead_types::DomId;
use bulkhead_xen::store::XenStore;

use crate::OpenError;
use crate::xen::Presence;

/// Hears when a whole domain is gone.
#[derive(Debug)]
pub struct PeerWatch {
    presence: Option<Presence>,
}

impl PeerWatch {
    pub(crate) fn none() -> Self {
        Self { presence: None }
    }

    pub(crate) fn xen(peer: DomId) -> Result<Self, OpenError> {
        let presence = Presence::listen(XenStore::open()?, peer)?;
        Ok(Self {
            presence: Some(presence),
        })
    }

    /// Readable when [`Self::is_gone`] should be asked; `None` where there is no news to come.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.presence.as_ref().and_then(Presence::fd)
    }

    /// Whether the domain is gone. True once for each reason to look, not for ever. An error
    /// means that there will be no more news.
    pub fn is_gone(&mut self) -> Result<bool, OpenError> {
        match &mut self.presence {
            Some(presence) => Ok(presence.peer_is_gone()?),
            None => Ok(false),
        }
    }
}
