// SPDX-License-Identifier: GPL-3.0-or-later
//! The fixture's end of its `testkit-init`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::processes::{Process, Processes};
use crate::programs::Programs;
use crate::wire::{News, Start};

/// How long it may take to start a process or to end all of them.
const LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
struct Ends {
    codes: Mutex<HashMap<i32, i32>>,
    changed: Condvar,
}

/// The ancestor of everything that a fixture runs.
#[derive(Debug)]
pub(crate) struct FirstProcess {
    child: Child,
    orders: Option<ChildStdin>,
    replies: Receiver<Result<i32, String>>,
    ends: Arc<Ends>,
    anchor: i32,
}

impl FirstProcess {
    pub(crate) fn start(programs: &Programs) -> anyhow::Result<Self> {
        let mut child = Command::new(programs.find("testkit-init")?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start testkit-init")?;
        let orders = child.stdin.take();
        let output = child.stdout.take().context("testkit-init has no output")?;
        let (tell, replies) = mpsc::channel();
        let ends = Arc::new(Ends::default());
        let seen = Arc::clone(&ends);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(News::Started(id)) => drop(tell.send(Ok(id))),
                    Ok(News::Failed(why)) => drop(tell.send(Err(why))),
                    Ok(News::Ended(id, code)) => {
                        seen.lock().insert(id, code);
                        seen.changed.notify_all();
                    }
                    Err(_) => {}
                }
            }
        });
        let anchor = reply(&replies)?;
        Ok(Self {
            child,
            orders,
            replies,
            ends,
            anchor,
        })
    }

    /// Starts a program; gives its process id.
    pub(crate) fn spawn(&mut self, start: &Start) -> anyhow::Result<i32> {
        let mut line = serde_json::to_string(start)?;
        line.push('\n');
        let orders = self
            .orders
            .as_mut()
            .context("testkit-init was told to end")?;
        orders
            .write_all(line.as_bytes())
            .context("testkit-init is gone")?;
        orders.flush()?;
        reply(&self.replies)
    }

    /// The exit code of a process that has ended.
    pub(crate) fn ended(&self, id: i32) -> Option<i32> {
        self.ends.lock().get(&id).copied()
    }

    /// Waits for the end of a process that was started here.
    pub(crate) fn wait(&self, id: i32, limit: Duration) -> anyhow::Result<i32> {
        let deadline = Instant::now() + limit;
        let mut codes = self.ends.lock();
        loop {
            if let Some(code) = codes.get(&id) {
                return Ok(*code);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("process {id} did not end within {limit:?}");
            }
            let waited = self.ends.changed.wait_timeout(codes, left);
            codes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything that runs in the fixture now.
    pub(crate) fn descendants(&self) -> Vec<Process> {
        let mut found = Processes::read().below(self.child.id().cast_signed());
        found.retain(|process| process.id != self.anchor);
        found
    }
}

impl Ends {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, i32>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FirstProcess {
    fn drop(&mut self) {
        // The end of its orders is the order to end everything.
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

fn reply(replies: &Receiver<Result<i32, String>>) -> anyhow::Result<i32> {
    match replies.recv_timeout(LIMIT) {
        Ok(Ok(id)) => Ok(id),
        Ok(Err(why)) => bail!(why),
        Err(_) => bail!("testkit-init does not answer"),
    }
}
