// SPDX-License-Identifier: GPL-3.0-or-later
//! News of guests that ended.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::spec::Death;

/// Every end of a guest from the moment of subscription on, each once.
///
/// As an iterator it blocks and belongs in a thread; it ends with the back end.
#[derive(Debug)]
pub struct Deaths(Receiver<Death>);

impl Deaths {
    /// Waits at most `timeout` for the next end of a guest.
    pub fn next_within(&self, timeout: Duration) -> Option<Death> {
        self.0.recv_timeout(timeout).ok()
    }
}

impl Iterator for Deaths {
    type Item = Death;
    fn next(&mut self) -> Option<Death> {
        self.0.recv().ok()
    }
}

/// The subscribers of one back end.
#[derive(Debug, Default)]
pub(crate) struct Announcer(Mutex<Vec<Sender<Death>>>);

impl Announcer {
    pub(crate) fn subscribe(&self) -> Deaths {
        let (sender, receiver) = channel();
        self.subscribers().push(sender);
        Deaths(receiver)
    }

    /// Tells every subscriber; those that hung up are forgotten.
    pub(crate) fn announce(&self, death: &Death) {
        self.subscribers()
            .retain(|subscriber| subscriber.send(death.clone()).is_ok());
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<Sender<Death>>> {
        // A list of channels is whole at every instant, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
