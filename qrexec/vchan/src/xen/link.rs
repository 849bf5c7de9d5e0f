// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wake-ups through an event channel, and the news of the peer domain's end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use bulkhead_types::DomId;
use bulkhead_xen::evtchn::{EventChannels, EventPort};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::Announcement;
use super::deaths::Deaths;
use crate::OpenError;

/// The Xen transport's half of a channel that is not memory.
#[derive(Debug)]
pub(crate) struct XenLink {
    /// What callers poll: the event channel, and what tells of deaths.
    watched: Epoll,
    channels: EventChannels,
    event: EventPort,
    peer: DomId,
    deaths: Deaths,
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
        let deaths = Deaths::watch(own, peer)?;
        if let Some(news) = deaths.fd() {
            watched.add(news, input()).map_err(failed())?;
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

    /// Takes in wake-ups and deaths.
    pub fn acknowledge(&mut self) -> io::Result<()> {
        while let Some(port) = self.channels.pending()? {
            // From here on the port can be woken again; the caller looks afterwards.
            self.channels.unmask(port)?;
        }
        let connected = self.announcement.is_none();
        let news = self
            .deaths
            .peer_is_gone(self.peer, &self.channels, self.event, connected);
        if news.as_ref().map_or(true, |gone| *gone) {
            // Without a source, or after the last news, nothing more must keep anybody awake.
            self.lost |= news.is_ok();
            if let Some(silent) = self.deaths.fd() {
                let _ = self.watched.delete(silent);
            }
            self.deaths = Deaths::Never;
        }
        Ok(())
    }

    /// Takes back a server's offer: its client came.
    pub fn withdraw(&mut self) {
        self.announcement = None;
    }
}
