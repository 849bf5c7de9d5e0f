// SPDX-License-Identifier: MIT OR Apache-2.0
//! Wake-ups through an event channel, and the news of the peer domain's end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use bulkhead_xen::evtchn::{EventChannels, EventPort};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::Presence;
use crate::OpenError;

/// The Xen transport's half of a channel that is not memory.
#[derive(Debug)]
pub(crate) struct XenLink {
    /// Both the event channel and xenstore in one descriptor, where xenstore has news.
    both: Option<Epoll>,
    channels: EventChannels,
    event: EventPort,
    presence: Option<Presence>,
    lost: bool,
    /// A server's offer still stands, since its client has not come.
    offered: bool,
}

impl XenLink {
    pub fn new(
        channels: EventChannels,
        event: EventPort,
        presence: Presence,
        offered: bool,
    ) -> Result<Self, OpenError> {
        let mut both = None;
        if let Some(news) = presence.fd() {
            let failed = || OpenError::system("watch a channel");
            let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(failed())?;
            for fd in [channels.as_fd(), news] {
                epoll
                    .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, 0))
                    .map_err(failed())?;
            }
            both = Some(epoll);
        }
        let mut link = Self {
            both,
            channels,
            event,
            presence: Some(presence).filter(Presence::matters),
            lost: false,
            offered,
        };
        link.hear_news();
        Ok(link)
    }

    /// One descriptor for all that can wake this end.
    pub fn fd(&self) -> BorrowedFd<'_> {
        match &self.both {
            Some(epoll) => epoll.0.as_fd(),
            None => self.channels.as_fd(),
        }
    }

    /// The same one by one, which is quicker to wait for.
    pub fn fds(&self) -> (BorrowedFd<'_>, Option<BorrowedFd<'_>>) {
        let news = self.presence.as_ref().and_then(Presence::fd);
        (self.channels.as_fd(), news)
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
            None => self.hear_news(),
        }
        Ok(())
    }

    /// Waits for a wake-up, however long it takes, and takes it in. False at once if there may
    /// be other news to wait for.
    pub fn wait_for_ever(&mut self) -> io::Result<bool> {
        if self.both.is_some() {
            return Ok(false);
        }
        if let Some(port) = self.channels.wait()? {
            self.channels.unmask(port)?;
        }
        Ok(true)
    }

    fn hear_news(&mut self) {
        let Some(presence) = &mut self.presence else {
            return;
        };
        match presence.peer_is_gone() {
            Ok(gone) => self.lost |= gone,
            // Without xenstore there is no more news, which must not keep anybody awake.
            Err(_) => {
                if let (Some(both), Some(news)) = (&self.both, presence.fd()) {
                    let _ = both.delete(news);
                }
                presence.hear_no_more();
            }
        }
    }

    /// Lets go of xenstore, unless it has to be told of this end's leaving.
    pub fn leave_xenstore(&mut self) {
        if self.presence.as_ref().is_none_or(Presence::only_listens) {
            self.presence = None;
            self.both = None;
        }
    }

    /// Takes back a server's offer: its client came.
    pub fn withdraw(&mut self) {
        if std::mem::take(&mut self.offered)
            && let Some(presence) = &mut self.presence
        {
            // An offer that stays leads nowhere, since its event channel is taken.
            let _ = presence.withdraw();
            self.hear_news();
        }
    }
}
