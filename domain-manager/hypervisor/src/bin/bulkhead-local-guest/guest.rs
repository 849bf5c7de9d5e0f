// SPDX-License-Identifier: GPL-3.0-or-later
//! The guest itself: `bwrap`, and the first process inside.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use bulkhead_hypervisor::local_guest::Order;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Event, console};

/// How long the first process may take to answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// The longest answer, in bytes. What does not keep to it is not our first process any more.
const ANSWER_MAX: u64 = 64;

/// A guest that was started.
pub struct Guest {
    bwrap: Pid,
    orders: ChildStdin,
    ended: bool,
}

impl Guest {
    /// Starts the guest. Called on the main thread: the kernel kills the guest when the thread
    /// that started it ends.
    pub fn start(command: &[OsString], log: &Path, events: Sender<Event>) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut bwrap = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::other(format!("`{}`: {error}", program.display())))?;
        let missing = || io::Error::other("a pipe is missing");
        let orders = bwrap.stdin.take().ok_or_else(missing)?;
        let answers = bwrap.stdout.take().ok_or_else(missing)?;
        let output = bwrap.stderr.take().ok_or_else(missing)?;
        let process = i32::try_from(bwrap.id()).map_err(io::Error::other)?;
        let log = log.to_owned();
        let copier = thread::spawn(move || console::copy(output, &log));
        let said = events.clone();
        thread::spawn(move || read_answers(answers, &said));
        thread::spawn(move || {
            let _ = bwrap.wait();
            // Its last words belong into the log before anybody looks there.
            let _ = copier.join();
            let _ = events.send(Event::Ended);
        });
        Ok(Self {
            bwrap: Pid::from_raw(process),
            orders,
            ended: false,
        })
    }

    /// Passes an order to the first process.
    pub fn tell(&mut self, order: Order) {
        // If it is gone, its answer will be missed.
        let _ = writeln!(self.orders, "{}", order.word());
    }

    /// Waits for an answer of the first process. The guest's end is as good an answer as any
    /// to a request to shut down.
    pub fn answers(&mut self, word: &str, events: &Receiver<Event>) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match events.recv_timeout(left) {
                Ok(Event::Said(said)) if said == word => return true,
                Ok(Event::Said(_)) => {}
                // One order at a time; the other manager is told by the hang-up.
                Ok(Event::Ordered(..)) => {}
                Ok(Event::Ended) | Err(RecvTimeoutError::Disconnected) => {
                    self.ended = true;
                    return word == Order::Shutdown.word();
                }
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    /// Kills every process of the guest: the kernel takes the rest of a PID namespace away
    /// with its first process.
    pub fn kill(&mut self) {
        if self.ended {
            return;
        }
        // `bwrap` waits for the first process, so its number cannot be somebody else's.
        let path = format!("/proc/{0}/task/{0}/children", self.bwrap);
        let children = fs::read_to_string(path).unwrap_or_default();
        let first = children.split_whitespace().next();
        let first = first.and_then(|number| number.parse().ok());
        // Without one it is still setting up, and takes what it made with it.
        let target = first.map_or(self.bwrap, Pid::from_raw);
        let _ = kill(target, Signal::SIGKILL);
    }

    /// Waits until nothing of the guest runs any more.
    pub fn wait_for_end(&mut self, events: &Receiver<Event>) {
        while !self.ended {
            self.ended = matches!(events.recv(), Ok(Event::Ended) | Err(_));
        }
    }

    /// Whether the guest's end has been noticed.
    pub fn has_ended(&self) -> bool {
        self.ended
    }
}

fn read_answers(answers: impl Read, events: &Sender<Event>) {
    let mut answers = BufReader::new(answers);
    loop {
        let mut line = String::new();
        match answers.by_ref().take(ANSWER_MAX).read_line(&mut line) {
            Ok(length) if length > 0 && line.ends_with('\n') => {
                let _ = events.send(Event::Said(line.trim_end().to_owned()));
            }
            _ => return,
        }
    }
}
