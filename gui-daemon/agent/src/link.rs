// SPDX-License-Identifier: GPL-3.0-or-later
//! The channel to the daemon: served, greeted, and written without waiting.

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{Endpoints, OpenError, RingSizes, ShareError, SharedPages, State, Vchan};
use gui_protocol::{Decoder, FromAgent, FromDaemon, Message, Screen, Version, Violation, WindowId};
use thiserror::Error;

/// Room for a burst of messages each way.
const RING: usize = 64 * 1024;
/// With more bytes than this waiting for the daemon, windows are not looked at: their
/// changes run together until it has caught up.
const BACKLOG: usize = 256 * 1024;

/// Why the daemon is not heard any more.
#[derive(Debug, Error)]
pub(crate) enum LinkError {
    #[error("the daemon is gone")]
    Gone,
    #[error("the daemon broke the protocol")]
    Violation(#[from] Violation),
    #[error("the channel to the daemon failed")]
    Channel(#[from] bulkhead_vchan::StreamError),
    #[error("cannot wait for the channel")]
    Io(#[from] std::io::Error),
}

/// What the daemon says.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It has just connected: tell it everything.
    Connected(Screen),
    Message(WindowId, FromDaemon),
}

#[derive(Debug)]
pub(crate) struct Link {
    endpoints: Endpoints,
    peer: DomId,
    /// `None` only when serving again has failed.
    vchan: Option<Vchan>,
    decoder: Decoder,
    version: Option<Version>,
    connected: bool,
    out: Vec<u8>,
    buffer: Vec<u8>,
}

impl Link {
    /// Serves the channel; the daemon may come whenever it likes.
    pub(crate) fn serve(endpoints: &Endpoints, peer: DomId) -> Result<Self, OpenError> {
        let mut link = Self {
            endpoints: endpoints.clone(),
            peer,
            vchan: None,
            decoder: Decoder::default(),
            version: None,
            connected: false,
            out: Vec::new(),
            buffer: vec![0; RING],
        };
        link.serve_again()?;
        Ok(link)
    }

    /// Gives the channel up and serves a new one.
    pub(crate) fn serve_again(&mut self) -> Result<(), OpenError> {
        // The old one must be gone first: both have the same name.
        self.vchan = None;
        self.decoder = Decoder::default();
        self.version = None;
        self.connected = false;
        self.out = Version::OURS.to_word().to_le_bytes().to_vec();
        let rings = RingSizes::both(RING);
        self.vchan = Some(self.endpoints.serve(self.peer, Port::GUI, rings)?);
        Ok(())
    }

    pub(crate) fn vchan(&mut self) -> Option<&mut Vchan> {
        self.vchan.as_mut()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether the daemon answers image and window changes of the agreed version.
    pub(crate) fn acknowledges(&self, since: Version) -> bool {
        self.version.is_some_and(|version| version >= since)
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.out.len() > BACKLOG
    }

    /// Says something; nothing is said to nobody.
    pub(crate) fn say(&mut self, window: u32, message: &FromAgent) {
        if self.connected {
            message.encode(WindowId(window), &mut self.out);
        }
    }

    pub(crate) fn share(&self, pages: usize) -> Result<SharedPages, ShareError> {
        self.endpoints.share(self.peer, pages)
    }

    /// Takes what has arrived. Returns whether there may be more at once.
    pub(crate) fn hear(&mut self, heard: &mut Vec<Heard>) -> Result<bool, LinkError> {
        let vchan = self.vchan.as_mut().ok_or(LinkError::Gone)?;
        let state = vchan.state();
        if state == State::Waiting {
            return Ok(false);
        }
        let count = match vchan.read(&mut self.buffer) {
            Ok(count) => count,
            Err(bulkhead_vchan::StreamError::Closed) => return Err(LinkError::Gone),
            Err(error) => return Err(error.into()),
        };
        if count == 0 && state == State::Closed {
            return Err(LinkError::Gone);
        }
        self.decoder.feed(&self.buffer[..count]);
        if self.version.is_none() {
            self.version = match self.decoder.version() {
                Some(reply) => Some(Version::accept_reply(reply).map_err(Violation::Version)?),
                None => None,
            };
        }
        let Some(version) = self.version else {
            return Ok(false);
        };
        if !self.connected
            && let Some(screen) = self.decoder.screen()
        {
            self.connected = true;
            heard.push(Heard::Connected(screen));
        }
        while self.connected
            && let Some((window, message)) = self.decoder.message(version)?
        {
            heard.push(Heard::Message(window, message));
        }
        Ok(count == self.buffer.len())
    }

    /// Sends as much as the daemon has room for.
    pub(crate) fn flush(&mut self) -> Result<(), LinkError> {
        let vchan = self.vchan.as_mut().ok_or(LinkError::Gone)?;
        let mut written = 0;
        while written < self.out.len() {
            match vchan.write(&self.out[written..]) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(bulkhead_vchan::StreamError::Closed) => return Err(LinkError::Gone),
                Err(error) => return Err(error.into()),
            }
        }
        self.out.drain(..written);
        Ok(())
    }
}
