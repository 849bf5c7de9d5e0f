// SPDX-License-Identifier: GPL-3.0-or-later
//! Questions to policy: many may wait, few are asked at one time.
//!
//! Asking is free for a guest, and each question that is asked takes a thread. One that waits takes
//! no more than its own words. Policy answers in microseconds; of those questions that are put to
//! the user it keeps only a few of one domain, so that the others go on.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qrexec_relay::Pool;

/// The most that are asked at one time: a thread takes about 20 KiB, and what many have used is not all
/// given back.
const AT_ONCE: usize = 16;
/// The most that are asked or wait.
const ALL_MAX: usize = 1024;
/// The most bytes of service names and arguments among them.
const BYTES_MAX: usize = 256 * 1024;

/// Who asks, and who waits for that.
#[derive(Clone)]
pub(crate) struct Turns {
    line: Arc<Mutex<Line>>,
    pool: Pool,
}

#[derive(Default)]
struct Line {
    asking: usize,
    bytes: usize,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    bytes: usize,
    work: Work,
}

type Work = Box<dyn FnOnce(Turn) + Send>;

/// The right to ask. When it is dropped, it is another's.
pub(crate) struct Turn {
    turns: Turns,
    bytes: usize,
}

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let asking = self.lock().asking;
        f.debug_struct("Turns").field("asking", &asking).finish()
    }
}

impl Turns {
    /// Nobody asks yet. Work is done in the threads of `pool`.
    pub fn new(pool: Pool) -> Self {
        let line = Arc::default();
        Self { line, pool }
    }

    /// Does some work of so many bytes in a thread, when its turn has come. An error means that too
    /// much waits. Work that is accepted and then finds no thread is dropped.
    pub fn take(&self, bytes: usize, work: impl FnOnce(Turn) + Send + 'static) -> io::Result<()> {
        let mut line = self.lock();
        let others = line.asking + line.waiting.len();
        // One alone is always heard.
        let fits = others == 0 || line.bytes + bytes <= BYTES_MAX;
        if others >= ALL_MAX || !fits {
            return Err(io::Error::other("too many requests at one time"));
        }
        line.bytes += bytes;
        let work: Work = Box::new(work);
        let next = Waiting { bytes, work };
        if line.asking >= AT_ONCE {
            line.waiting.push_back(next);
            return Ok(());
        }
        line.asking += 1;
        drop(line);
        let begun = self.begin(next);
        if begun.is_err() {
            self.pass_on(bytes);
        }
        begun
    }

    fn begin(&self, next: Waiting) -> io::Result<()> {
        let turns = self.clone();
        let Waiting { bytes, work } = next;
        self.pool.run(move || work(Turn { turns, bytes }))
    }

    /// Who had `bytes` is done: the next one begins.
    fn pass_on(&self, bytes: usize) {
        let mut done = bytes;
        loop {
            let mut line = self.lock();
            line.bytes -= done;
            let Some(next) = line.waiting.pop_front() else {
                line.asking -= 1;
                return;
            };
            drop(line);
            done = next.bytes;
            match self.begin(next) {
                Ok(()) => return,
                Err(error) => tracing::error!("no thread for a request: {error}"),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.pass_on(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn turns() -> Turns {
        Turns::new(Pool::new("turn", 64 * 1024))
    }

    #[test]
    fn few_ask_at_one_time_and_all_have_their_turn() {
        let turns = turns();
        let (sender, came) = mpsc::channel();
        for n in 0..ALL_MAX {
            let sender = sender.clone();
            let ask = move |turn| sender.send((n, turn)).unwrap();
            turns.take(1, ask).unwrap();
        }
        assert!(turns.take(1, |_| {}).is_err());
        let mut holding: Vec<Turn> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..AT_ONCE {
            let (n, turn) = came.recv().unwrap();
            seen.insert(n);
            holding.push(turn);
        }
        // Everybody holds a turn who may, so nobody else has come.
        assert!(came.try_recv().is_err());
        while let Some(turn) = holding.pop() {
            drop(turn);
            if seen.len() < ALL_MAX {
                let (n, turn) = came.recv().unwrap();
                seen.insert(n);
                holding.push(turn);
            }
        }
        assert_eq!(seen.len(), ALL_MAX);
        let line = turns.lock();
        assert_eq!((line.asking, line.bytes), (0, 0));
    }

    #[test]
    fn long_words_leave_less_room_and_one_alone_is_always_heard() {
        let turns = turns();
        let (sender, came) = mpsc::channel();
        let long = BYTES_MAX + 1;
        turns
            .take(long, move |turn| sender.send(turn).unwrap())
            .unwrap();
        let turn = came.recv().unwrap();
        assert!(turns.take(1, |_| {}).is_err());
        drop(turn);
        turns.take(1, |_| {}).unwrap();
    }
}
