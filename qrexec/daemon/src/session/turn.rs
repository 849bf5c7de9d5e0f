// SPDX-License-Identifier: GPL-3.0-or-later
//! One turn of the loop: all that can be done, then a wait for more.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use bulkhead_vchan::{OpenError, PeerWatch};
use qrexec_protocol::version::{TooOld, Version};
use qrexec_relay::{Interest, Ready, wait_for_any};
use thiserror::Error;

use super::Session;
use crate::clients::Client;
use crate::line::LineError;

/// Why a session cannot go on.
#[derive(Debug, Error)]
pub(crate) enum TurnError {
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("the process that reads the guest spoke out of turn")]
    OutOfTurn,
    /// Whoever read the agent has said why.
    #[error("it is over")]
    Over(Option<TooOld>),
    #[error("the domain is gone")]
    DomainGone,
    #[error("its end would not be noticed any more: {0}")]
    Watch(#[from] OpenError),
    #[error("the agent did not greet in time")]
    NoGreeting,
    #[error("the system failed: {0}")]
    System(#[from] io::Error),
}

impl From<nix::Error> for TurnError {
    fn from(errno: nix::Error) -> Self {
        Self::System(errno.into())
    }
}

/// What happened while the session waited.
struct Seen {
    signal: bool,
    agent: Ready,
    letters: bool,
    domain: bool,
    clients: Vec<u64>,
    abroad: Vec<u64>,
    newcomers: bool,
}

impl Session {
    /// Does all that can be done, then waits for more. False when a signal came.
    pub(super) fn turn(
        &mut self,
        signal: BorrowedFd<'_>,
        watch: &mut PeerWatch,
        greeting: Instant,
        ready: &mut impl FnMut(Version),
    ) -> Result<bool, TurnError> {
        let more = self.hear_agent(ready)?;
        let now = Instant::now();
        self.call_off(now);
        self.give_up_abroad(now);
        self.agent.line.flush()?;
        self.clients
            .retain(|_, client| client.deadline().is_none_or(|end| end > now));
        let greeting = self.awaits_greeting(greeting);
        if greeting.is_some_and(|end| end <= now) {
            return Err(TurnError::NoGreeting);
        }
        let open = self.has_room();
        // More may be waiting to be read from the agent: then this is only a look around.
        let look = (more && open).then_some(now);
        let deadline = [greeting, look, self.next_deadline()];
        let deadline = deadline.into_iter().flatten().min();
        // Where no such news can come, another descriptor stands in its place.
        let seen = self.wait(signal, watch.fd().unwrap_or(signal), open, deadline)?;
        if seen.signal {
            return Ok(false);
        }
        if seen.domain && watch.is_gone()? {
            return Err(TurnError::DomainGone);
        }
        if seen.agent.gone && !open {
            return Err(LineError::Ended.into());
        }
        if seen.letters {
            let letters = self.letters.take();
            letters.into_iter().for_each(|letter| self.open(letter));
        }
        seen.clients.iter().for_each(|n| self.hear_client(*n));
        seen.abroad.iter().for_each(|n| self.ended_abroad(*n));
        if seen.newcomers {
            self.admit();
        }
        Ok(true)
    }

    /// When a client has taken too long, or the agent is to be told that a caller does not come.
    fn next_deadline(&self) -> Option<Instant> {
        let clients = self.clients.values().filter_map(Client::deadline);
        let others = self.left_alone.values().copied().chain(self.abroad_due());
        clients.chain(others).min()
    }

    /// Waits; while there is no room for answers (`open`), only for the going of those who speak.
    fn wait(
        &self,
        signal: BorrowedFd<'_>,
        domain: BorrowedFd<'_>,
        open: bool,
        deadline: Option<Instant>,
    ) -> io::Result<Seen> {
        let heard = if open {
            Interest::Readable
        } else {
            Interest::Gone
        };
        let line = &self.agent.line;
        let mut entries = vec![
            (line.fd(), heard),
            (signal, Interest::Readable),
            (self.letters.fd(), Interest::Readable),
            (domain, Interest::Readable),
        ];
        entries.extend(self.clients.values().map(|client| (client.fd(), heard)));
        let abroad = self.abroad.iter();
        let abroad = abroad.filter_map(|(number, call)| Some((*number, call.fd()?)));
        let (abroad, daemons): (Vec<u64>, Vec<_>) = abroad.unzip();
        entries.extend(daemons.into_iter().map(|fd| (fd, heard)));
        if let Some(sockets) = &self.sockets {
            entries.push((sockets.listener.as_fd(), heard));
        }
        if line.queued() > 0 {
            entries.push((line.fd(), Interest::Writable));
        }
        let seen = wait_for_any(&entries, deadline)?;
        let (fixed, seen) = seen.split_at(4);
        let (clients, seen) = seen.split_at(self.clients.len());
        let (ended, seen) = seen.split_at(abroad.len());
        let some = |ready: &Ready| ready.any();
        let clients = self.clients.keys().zip(clients);
        let ended = abroad.iter().zip(ended);
        Ok(Seen {
            agent: fixed[0],
            signal: fixed[1].readable,
            letters: fixed[2].readable,
            domain: fixed[3].readable,
            clients: clients.filter(|(_, r)| some(r)).map(|(n, _)| *n).collect(),
            abroad: ended.filter(|(_, r)| some(r)).map(|(n, _)| *n).collect(),
            newcomers: self.sockets.is_some() && seen.first().is_some_and(|ready| ready.readable),
        })
    }
}
