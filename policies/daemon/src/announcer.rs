// SPDX-License-Identifier: GPL-3.0-or-later
//! What the service manager is told, by a thread of its own: it may be slow to read, and nobody who
//! asks about a call is to wait for that.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use sd_notify::NotifyState;

/// So much may wait to be read; what comes then is not said.
const WAITING_MAX: usize = 64;

enum Word {
    Ready,
    Status(String),
}

/// Tells the service manager things, in their order.
pub(crate) struct Announcer(SyncSender<Word>);

impl Announcer {
    pub fn start() -> io::Result<Self> {
        let (said, words) = sync_channel(WAITING_MAX);
        let tell = move || {
            for word in words {
                // Nobody may be listening.
                let _ = match word {
                    Word::Ready => sd_notify::notify(&[NotifyState::Ready]),
                    Word::Status(summary) => sd_notify::notify(&[NotifyState::Status(&summary)]),
                };
            }
        };
        thread::Builder::new()
            .name("announcer".into())
            .spawn(tell)?;
        Ok(Self(said))
    }

    pub fn ready(&self) {
        self.say(Word::Ready);
    }

    /// What people are shown.
    pub fn status(&self, summary: String) {
        self.say(Word::Status(summary));
    }

    fn say(&self, word: Word) {
        let _ = self.0.try_send(word);
    }
}
