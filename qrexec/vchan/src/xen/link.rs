// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wake-ups through an event channel, and the news of the peer domain's end.
//!
//! A peer process that ends takes its pages with it, and the kernel under it then clears its
//! live byte and wakes us. A peer *domain* that is destroyed takes its kernel along, so
//! nobody does that; in dom0 xenstore tells of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use bulkhead_types::DomId;
use bulkhead_xen::evtchn::{EventChannels, EventPort};
use bulkhead_xen::store::{Store, StoreError, XenStore};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::Announcement;
use crate::OpenError;

/// The Xen transport's half of a channel that is not memory.
#[derive(Debug)]
pub(crate) struct XenLink {
    /// What callers poll: the event channel, and the store if it is watched.
    watched: Epoll,
    channels: EventChannels,
    event: EventPort,
    peer: DomId,
    /// Tells of domains that end; only dom0 is told.
    deaths: Option<XenStore>,
    lost: bool,
    /// A server's offer, until its client came.
    announcement: Option<Announcement>,
}

impl XenLink {
    pub fn new(
        channels: EventChannels,
        event: EventPort,
        own: DomId,
        peer: DomId,
        announcement: Option<Announcement>,
    ) -> Result<Self, OpenError> {
        let failed = || OpenError::system("watch a channel");
        let watched = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed())?;
        let input = || EpollEvent::new(EpollFlags::EPOLLIN, 0);
        watched.add(channels.as_fd(), input()).map_err(failed())?;
        let deaths = match own {
            DomId::DOM0 => Some(watch_deaths()?),
            _ => None,
        };
        if let Some(store) = &deaths {
            watched.add(store.fd(), input()).map_err(failed())?;
        }
        Ok(Self {
            watched,
            channels,
            event,
            peer,
            deaths,
            lost: false,
            announcement,
        })
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.watched.0.as_fd()
    }

    pub fn peer_lost(&self) -> bool {
        self.lost
    }

    /// Makes the peer's descriptor readable.
    pub fn wake_peer(&self) {
        // It fails only for a port that is not bound, and ours is until this value goes.
        let _ = self.channels.notify(self.event);
    }

    /// Takes in a wake-up, or else news of the peer's end.
    ///
    /// System calls are most of what a round trip costs, so a wake-up is one read and one
    /// write: one port is bound, and other news keeps the descriptor readable until next time.
    pub fn acknowledge(&mut self) -> io::Result<()> {
        match self.channels.pending()? {
            // From here on the port can be woken again; the caller looks afterwards.
            Some(port) => self.channels.unmask(port)?,
            None => self.hear_of_deaths(),
        }
        Ok(())
    }

    fn hear_of_deaths(&mut self) {
        let Some(store) = &mut self.deaths else {
            return;
        };
        match somebody_died(store).and_then(|died| Ok(died && !store.is_introduced(self.peer)?)) {
            Ok(gone) => self.lost |= gone,
            // Without xenstore there is no more news, which must not keep anybody awake.
            Err(_) => {
                let _ = self.watched.delete(store.fd());
                self.deaths = None;
            }
        }
    }

    /// Takes back a server's offer: its client came.
    pub fn withdraw(&mut self) {
        self.announcement = None;
    }
}

fn watch_deaths() -> Result<XenStore, StoreError> {
    let mut store = XenStore::open()?;
    store.watch("@releaseDomain")?;
    Ok(store)
}

/// Whether domains ended since the last time.
fn somebody_died(store: &mut XenStore) -> Result<bool, StoreError> {
    let mut died = false;
    while store.next_event(Some(Duration::ZERO))?.is_some() {
        died = true;
    }
    Ok(died)
}
