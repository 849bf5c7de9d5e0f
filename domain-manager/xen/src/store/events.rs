// SPDX-License-Identifier: MIT OR Apache-2.0
//! Watch events that wait to be taken: each once, and never too many.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::{WatchEvent, WatchId};

/// How many different events may wait. A guest decides how often a node below its home
/// changes; it must not decide how much memory we use.
const WAITING_MAX: usize = 1024;

/// Events in order, without repetition.
#[derive(Debug, Default)]
pub(super) struct Events {
    waiting: VecDeque<WatchEvent>,
    known: HashSet<WatchEvent>,
}

impl Events {
    /// Adds an event unless the same waits already. When too many wait, each watch gets one
    /// for its whole path (`watched`) instead: who looks there misses nothing.
    pub fn push(&mut self, event: WatchEvent, watched: &BTreeMap<WatchId, String>) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.clear();
            self.known.clear();
            for (watch, path) in watched {
                self.add(WatchEvent {
                    watch: *watch,
                    path: path.clone(),
                });
            }
        }
        self.add(event);
    }

    fn add(&mut self, event: WatchEvent) {
        if self.known.insert(event.clone()) {
            self.waiting.push_back(event);
        }
    }

    /// The oldest event.
    pub fn pop(&mut self) -> Option<WatchEvent> {
        let event = self.waiting.pop_front()?;
        self.known.remove(&event);
        Some(event)
    }

    /// Drops the events of a watch that ended.
    pub fn forget(&mut self, watch: WatchId) {
        self.waiting.retain(|event| event.watch != watch);
        self.known.retain(|event| event.watch != watch);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(watch: u64, path: String) -> WatchEvent {
        WatchEvent {
            watch: WatchId(watch),
            path,
        }
    }

    #[test]
    fn a_flood_becomes_one_event_per_watch() {
        let watched =
            BTreeMap::from([(WatchId(1), "/a".to_owned()), (WatchId(2), "/b".to_owned())]);
        let mut events = Events::default();
        for _ in 0..10 {
            events.push(event(2, "/b/x".into()), &watched);
        }
        assert_eq!(events.waiting.len(), 1);
        for i in 0..WAITING_MAX {
            events.push(event(1, format!("/a/{i}")), &watched);
        }
        assert!(events.waiting.len() < 10);
        assert_eq!(events.pop(), Some(event(1, "/a".into())));
        assert_eq!(events.pop(), Some(event(2, "/b".into())));
        events.forget(WatchId(1));
        assert_eq!(events.pop(), None);
    }
}
