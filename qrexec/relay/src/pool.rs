// SPDX-License-Identifier: GPL-3.0-or-later
//! Threads that wait a moment for more work before they end.
//!
//! Each call has a thread of its own. Making one takes longer than all else that an agent does for a call to
//! a socket; calls that follow each other closely share one.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a thread waits for more work.
const IDLE: Duration = Duration::from_secs(2);
/// The most threads that wait.
const IDLE_MAX: usize = 16;

type Job = Box<dyn FnOnce() + Send>;

/// Runs each job in a thread, in one that is there if possible.
#[derive(Clone)]
pub struct Pool {
    name: &'static str,
    stack: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    threads: usize,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("name", &self.name).finish()
    }
}

impl Pool {
    /// A pool whose threads have this name and this much stack. There are none yet.
    pub fn new(name: &'static str, stack: usize) -> Self {
        Self {
            name,
            stack,
            shared: Arc::default(),
        }
    }

    /// Runs a job at once, beside all others. Fails when there can be no thread for it.
    pub fn run(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let job: Job = Box::new(job);
        let mut waiting = self.shared.lock();
        if waiting.threads > waiting.jobs.len() {
            waiting.jobs.push_back(job);
            drop(waiting);
            self.shared.wake.notify_one();
            return Ok(());
        }
        drop(waiting);
        let shared = Arc::clone(&self.shared);
        let builder = thread::Builder::new()
            .name(self.name.to_owned())
            .stack_size(self.stack);
        let work = move || {
            job();
            while let Some(job) = shared.next() {
                job();
            }
        };
        builder.spawn(work).map(drop)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for more work; `None` when none came, or enough others wait.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.lock();
        if waiting.threads >= IDLE_MAX {
            return None;
        }
        waiting.threads += 1;
        let idle = |waiting: &mut Waiting| waiting.jobs.is_empty();
        let waited = self.wake.wait_timeout_while(waiting, IDLE, idle);
        let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        waiting.threads -= 1;
        waiting.jobs.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::ThreadId;

    use super::*;

    #[test]
    fn jobs_run_beside_each_other_however_many_there_are() {
        let pool = Pool::new("job", 64 * 1024);
        let (all_there, there) = mpsc::channel();
        let gates: Vec<mpsc::Sender<()>> = (0..2 * IDLE_MAX)
            .map(|_| {
                let (gate, closed) = mpsc::channel();
                let here = all_there.clone();
                let job = move || {
                    here.send(()).unwrap();
                    closed.recv().unwrap();
                };
                pool.run(job).unwrap();
                gate
            })
            .collect();
        // None waits for another's end.
        gates.iter().for_each(|_| there.recv().unwrap());
        gates.iter().for_each(|gate| gate.send(()).unwrap());
    }

    #[test]
    fn a_thread_that_has_nothing_to_do_takes_the_next_job() {
        let pool = Pool::new("job", 64 * 1024);
        let (sender, ids) = mpsc::channel::<ThreadId>();
        let run = || {
            let sender = sender.clone();
            let job = move || sender.send(thread::current().id()).unwrap();
            pool.run(job).unwrap();
            ids.recv().unwrap()
        };
        let first = run();
        // Until it waits; then it is the one.
        while pool.shared.lock().threads == 0 {
            thread::yield_now();
        }
        assert_eq!(run(), first);
    }
}
