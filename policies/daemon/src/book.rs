// SPDX-License-Identifier: GPL-3.0-or-later
//! The daemon's hold on the ledger: what cannot be recorded is told, and records are sealed
//! soon after they came.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use policy_ledger::{Entry, Event, Ledger, rfc3339};
use tokio::sync::broadcast;
use tracing::{error, warn};

use crate::settings::LedgerSettings;
use crate::state::Shared;

/// How old a record may grow before it is sealed and brought to the disk.
const SEAL_EVERY: Duration = Duration::from_secs(1);
/// How many records a slow listener may fall behind.
const BEHIND_MAX: usize = 1024;

/// The ledger and what was last wrong with it.
pub(crate) struct Book {
    ledger: Ledger,
    failure: Option<String>,
    private: bool,
    listeners: broadcast::Sender<Arc<Entry>>,
}

impl Book {
    pub fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            failure: None,
            private: false,
            listeners: broadcast::channel(BEHIND_MAX).0,
        }
    }

    pub fn set(&mut self, settings: &LedgerSettings) {
        self.ledger.limit(settings.limits());
        self.private = settings.private_disposables;
    }

    /// Whether of a caller only the number of its calls is kept.
    pub fn keeps_private(&self, disposable: bool) -> bool {
        self.private && disposable
    }

    /// Records what happened; its number. `None` means that nothing may rest on it.
    pub fn record(&mut self, event: Event, now: SystemTime) -> Option<u64> {
        let heard = self.listeners.receiver_count() > 0 && event != Event::Private;
        let told = heard.then(|| event.clone());
        match self.ledger.append(event, now) {
            Ok(sequence) => {
                self.failure = None;
                if let Some(event) = told {
                    let time = rfc3339(now);
                    // Whoever has just gone does without it.
                    let _ = self.listeners.send(Arc::new(Entry {
                        sequence,
                        time,
                        event,
                    }));
                }
                Some(sequence)
            }
            Err(e) => {
                let cause = std::error::Error::source(&e).map(ToString::to_string);
                let message = format!("{e}: {}", cause.unwrap_or_default());
                error!("{message}");
                self.failure = Some(message);
                None
            }
        }
    }

    /// Records from now on, as they are made.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.listeners.subscribe()
    }

    /// The number of the last record.
    pub fn last(&self) -> u64 {
        self.ledger.head().sequence
    }

    /// Why the last record could not be written, if so.
    pub fn failure(&self) -> Option<&String> {
        self.failure.as_ref()
    }

    fn seal(&mut self) -> Option<[std::fs::File; 2]> {
        if self.ledger.unsealed() == 0 {
            return None;
        }
        if let Err(error) = self.ledger.seal(SystemTime::now()) {
            warn!("{error}; the seal is tried again");
            return None;
        }
        self.ledger.files().ok()
    }

    /// The daemon ends.
    pub fn close(self) {
        // A ledger that nothing was written to has nothing to close.
        if self.last() > 0
            && let Err(error) = self.ledger.close(SystemTime::now())
        {
            warn!("{error}");
        }
    }
}

/// Seals what has come, again and again.
pub(crate) async fn keep_sealed(state: Shared) {
    loop {
        tokio::time::sleep(SEAL_EVERY).await;
        let files = state.borrow_mut().book().seal();
        if let Some(files) = files {
            // May take long on a busy disk, so the decisions do not wait for it.
            let sync = move || files.iter().try_for_each(std::fs::File::sync_data);
            let _ = tokio::task::spawn_blocking(sync).await;
        }
    }
}
