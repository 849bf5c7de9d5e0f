// SPDX-License-Identifier: GPL-3.0-or-later
//! One agent's session: its bytes in, its windows on the display, our bytes out.

use std::io;

use bulkhead_types::DomId;
use bulkhead_vchan::{State, StreamError, Vchan};
use gui_core::{Command, Effect, Limits, Misconduct, Rect, Windows};
use gui_protocol::{Decoder, FromAgent, Message, Version, Violation};
use thiserror::Error;
use tracing::{info, warn};

use crate::errand::ToLauncher;
use crate::x11::{DisplayError, X11};

/// Bytes read from the guest before the display gets its turn.
const READ_AT_ONCE: usize = 64 * 1024;
/// More bytes waiting for a guest than this: it does not read.
const MOST_UNREAD: usize = 10 * 1024 * 1024;

/// Why a session ended.
#[derive(Debug, Error)]
pub enum SessionEnd {
    /// The agent closed the channel or died.
    #[error("the agent is gone")]
    AgentGone,
    /// The agent sent what no agent sends.
    #[error("the agent broke the protocol")]
    Violation(#[from] Violation),
    /// The agent talked about windows it does not have.
    #[error("the agent misbehaved")]
    Misconduct(#[from] Misconduct),
    /// The channel is broken.
    #[error("the channel to the agent failed")]
    Channel(#[source] StreamError),
    /// The agent does not take its messages.
    #[error("the agent has left {0} bytes unread")]
    NotReading(usize),
    /// The process that started this one is gone, or does not answer.
    #[error("the process that started this session is gone")]
    Launcher(#[source] io::Error),
    /// The display is gone; there is nothing to go on with.
    #[error(transparent)]
    Display(#[from] DisplayError),
}

/// A connected agent.
#[derive(Debug)]
pub struct Session {
    peer: DomId,
    vchan: Vchan,
    decoder: Decoder,
    /// Empty until the agent has said its version.
    talk: Option<(Version, Windows)>,
    limits: Limits,
    out: Vec<u8>,
    buffer: Vec<u8>,
    effects: Vec<Effect>,
}

/// What a turn left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing until something happens.
    Done,
    /// There is more to read already.
    More,
}

impl Session {
    /// A session over a channel that has just been opened to `peer`.
    pub fn new(peer: DomId, vchan: Vchan, limits: Limits) -> Self {
        Self {
            peer,
            vchan,
            decoder: Decoder::default(),
            talk: None,
            limits,
            out: Vec::new(),
            buffer: vec![0; READ_AT_ONCE],
            effects: Vec::new(),
        }
    }

    /// The channel, to be polled.
    pub fn vchan(&mut self) -> &mut Vchan {
        &mut self.vchan
    }

    /// Whether the handshake is over.
    pub fn is_talking(&self) -> bool {
        self.talk.is_some()
    }

    /// Takes what has happened on both sides and does what follows from it.
    pub fn turn(
        &mut self,
        display: &mut X11,
        launcher: &mut ToLauncher,
    ) -> Result<Turn, SessionEnd> {
        let happened = display.events()?;
        if let Some((_, windows)) = &mut self.talk {
            for event in happened {
                windows.display(event, &mut self.effects);
            }
        }
        let read = self.read(display);
        self.carry_out(display, launcher)?;
        let read = read?;
        if let Some((_, windows)) = &mut self.talk
            && !display.is_busy()
        {
            windows.draw(&mut self.effects);
            self.carry_out(display, launcher)?;
        }
        display.finish()?;
        self.write()?;
        let more = display.has_events()?;
        Ok(if more { Turn::More } else { read })
    }

    fn read(&mut self, display: &mut X11) -> Result<Turn, SessionEnd> {
        let count = match self.vchan.read(&mut self.buffer) {
            Ok(count) => count,
            Err(StreamError::Closed) => return Err(SessionEnd::AgentGone),
            Err(error) => return Err(SessionEnd::Channel(error)),
        };
        if count == 0 && self.vchan.state() == State::Closed {
            return Err(SessionEnd::AgentGone);
        }
        self.decoder.feed(&self.buffer[..count]);
        if self.talk.is_none() && !self.shake_hands(display)? {
            return Ok(Turn::Done);
        }
        if let Some((version, windows)) = &mut self.talk {
            while let Some((window, message)) = self.decoder.message::<FromAgent>(*version)? {
                windows.guest(window, message, &mut self.effects)?;
            }
        }
        let full = count == self.buffer.len();
        Ok(if full { Turn::More } else { Turn::Done })
    }

    fn shake_hands(&mut self, display: &X11) -> Result<bool, SessionEnd> {
        let Some(theirs) = self.decoder.version() else {
            return Ok(false);
        };
        let version = Version::negotiate(theirs).map_err(Violation::Version)?;
        if version >= Version::REPLY {
            self.out.extend_from_slice(&version.to_word().to_le_bytes());
        }
        let screen = display.screen();
        self.out.extend_from_slice(&screen.to_bytes());
        let whole = Rect::new(0, 0, screen.width as i32, screen.height as i32);
        let domain = display.domain().clone();
        let mut windows = Windows::new(domain, version, self.limits, whole);
        windows.display(display.work_area()?, &mut self.effects);
        self.talk = Some((version, windows));
        info!(%version, "the agent is connected");
        Ok(true)
    }

    fn carry_out(
        &mut self,
        display: &mut X11,
        launcher: &mut ToLauncher,
    ) -> Result<(), SessionEnd> {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Guest(window, message) => message.encode(window, &mut self.out),
                Effect::Display(Command::Attach { window, dump }) => {
                    // References that name nothing cost the guest its image, no more.
                    let mapped = launcher.map(self.peer, dump.refs());
                    match mapped.map_err(SessionEnd::Launcher)? {
                        Ok(pages) => display.attach(window, &dump, pages)?,
                        Err(error) => warn!(%window, %error, "a window's pages are not shared"),
                    }
                }
                Effect::Display(command) => display.carry_out(&command)?,
            }
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), SessionEnd> {
        let mut written = 0;
        while written < self.out.len() {
            match self.vchan.write(&self.out[written..]) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(StreamError::Closed) => return Err(SessionEnd::AgentGone),
                Err(error) => return Err(SessionEnd::Channel(error)),
            }
        }
        self.out.drain(..written);
        if self.out.len() > MOST_UNREAD {
            return Err(SessionEnd::NotReading(self.out.len()));
        }
        Ok(())
    }
}
