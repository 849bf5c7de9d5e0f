// SPDX-License-Identifier: GPL-3.0-or-later
//! What the agent says, as far as the process that reads it can be believed.

use std::time::Instant;

use qrexec_protocol::frame::hello;
use qrexec_protocol::version::Version;

use super::turn::TurnError;
use super::{LINE_MAX, Session};
use crate::line::Word;
use crate::sockets::Sockets;

/// After so many messages of the agent, others have their turn.
const MESSAGES_PER_TURN: usize = 64;

impl Session {
    /// Whether anybody is heard: what is said leads to answers, for which there has to be room.
    pub(super) fn has_room(&self) -> bool {
        self.agent.line.queued() < LINE_MAX
    }

    /// Hears the agent, but not for ever; whether more may have come.
    pub(super) fn hear_agent(
        &mut self,
        ready: &mut impl FnMut(Version),
    ) -> Result<bool, TurnError> {
        for _ in 0..MESSAGES_PER_TURN {
            if !self.has_room() {
                break;
            }
            match self.agent.line.receive()? {
                None => return Ok(false),
                Some(word) => self.obey(word, ready)?,
            }
            self.agent.line.flush()?;
        }
        Ok(true)
    }

    fn obey(&mut self, word: Word, ready: &mut impl FnMut(Version)) -> Result<(), TurnError> {
        match (word, self.version) {
            (Word::Greeted(version), None) => self.agree(version, ready)?,
            (Word::Over(too_old), _) => return Err(TurnError::Over(too_old)),
            (Word::Request(request), Some(_)) => self.request(request),
            (Word::Terminated(route), Some(_)) => {
                self.ports.release(route);
                self.left_alone.remove(&route);
                self.callers.remove(&route);
                self.caller_of_abroad_gone(route);
                if let Some(calling_off) = self.meetings.remove(&route) {
                    calling_off.call_off();
                }
                self.clients.retain(|_, client| !client.runs(route));
            }
            (Word::Met | Word::Greeted(_) | Word::Request(_) | Word::Terminated(_), _) => {
                return Err(TurnError::OutOfTurn);
            }
        }
        Ok(())
    }

    fn agree(
        &mut self,
        version: Version,
        ready: &mut impl FnMut(Version),
    ) -> Result<(), TurnError> {
        tracing::info!(
            "the agent of {} is there; version {version}",
            self.desk.domain.name
        );
        // Its own number to an older agent, ours to a newer one.
        self.version = Some(version);
        self.agent.line.queue(&hello(version));
        self.sockets = Some(Sockets::new(
            &self.desk.options.socket_dir,
            &self.desk.domain,
        )?);
        ready(version);
        Ok(())
    }

    /// When the session ends if the agent has not greeted by then.
    pub(super) fn awaits_greeting(&self, greeting: Instant) -> Option<Instant> {
        self.version.is_none().then_some(greeting)
    }
}
