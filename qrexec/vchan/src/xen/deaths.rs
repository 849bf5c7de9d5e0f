// SPDX-License-Identifier: MIT OR Apache-2.0
//! Learning that a whole domain is gone.
//!
//! A peer *process* that ends takes its pages with it, and the kernel under it then clears its
//! live byte and wakes us. A peer *domain* that is destroyed takes its kernel along, so nobody
//! does that. In dom0 xenstore tells of it. In a guest nothing does: two guests look after
//! each other once in a while, and dom0 needs no looking after, since it goes last.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use bulkhead_types::DomId;
use bulkhead_xen::evtchn::{EventChannels, EventPort};
use bulkhead_xen::privcmd::Privcmd;
use bulkhead_xen::store::{Store, StoreError, XenStore};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::OpenError;

/// How often a guest looks after another guest: one hypercall each time.
const EVERY: Duration = Duration::from_secs(1);

/// How this end learns of the peer domain's end.
#[derive(Debug)]
pub(super) enum Deaths {
    /// From xenstore's `@releaseDomain`, which only dom0 hears.
    Told(XenStore),
    /// By looking. Without root's device it is seen only once nobody maps the peer's pages
    /// any more.
    Looked(TimerFd, Option<Privcmd>),
    /// The peer is dom0, or xenstore is gone.
    Never,
}

impl Deaths {
    /// Begins to listen or look.
    pub fn watch(own: DomId, peer: DomId) -> Result<Self, OpenError> {
        if own == DomId::DOM0 {
            let mut store = XenStore::open()?;
            store.watch("@releaseDomain")?;
            return Ok(Self::Told(store));
        }
        if peer == DomId::DOM0 {
            return Ok(Self::Never);
        }
        let failed = || OpenError::system("watch over the peer");
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(failed())?;
        let every = Expiration::Interval(TimeSpec::from_duration(EVERY));
        timer
            .set(every, TimerSetTimeFlags::empty())
            .map_err(failed())?;
        Ok(Self::Looked(timer, Privcmd::open().ok()))
    }

    /// Readable when there may be news.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Told(store) => Some(store.fd()),
            Self::Looked(timer, _) => Some(timer.as_fd()),
            Self::Never => None,
        }
    }

    /// Whether the peer is gone. `connected`: it once had its end of the event channel.
    ///
    /// An error means that there will be no more news.
    pub fn peer_is_gone(
        &mut self,
        peer: DomId,
        channels: &EventChannels,
        event: EventPort,
        connected: bool,
    ) -> Result<bool, StoreError> {
        match self {
            Self::Told(store) => {
                let mut died = false;
                while store.next_event(Some(Duration::ZERO))?.is_some() {
                    died = true;
                }
                Ok(died && !store.is_introduced(peer)?)
            }
            Self::Looked(timer, privcmd) => {
                let mut expirations = [0; 8];
                match nix::unistd::read(&*timer, &mut expirations) {
                    Ok(_) => {}
                    Err(nix::Error::EAGAIN) => return Ok(false),
                    Err(error) => return Err(io::Error::from(error).into()),
                }
                let cut = |privcmd: &Privcmd| matches!(privcmd.is_connected(event), Ok(false));
                Ok(connected && privcmd.as_ref().is_some_and(cut) || channels.is_absent(peer))
            }
            Self::Never => Ok(false),
        }
    }
}
