// SPDX-License-Identifier: GPL-3.0-or-later
//! Asks as a qrexec daemon does, and counts the time.

use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::{ASKERS, Machine};

/// A question as bytes.
pub fn question(source: &str, target: &str, service: &str) -> Vec<u8> {
    format!("source={source}\nintended_target={target}\nservice_and_arg={service}\n\n").into_bytes()
}

/// A question of one of the askers that is allowed.
pub fn allowed(n: usize) -> Vec<u8> {
    question(&format!("asker{}", n % ASKERS), "vault", "my.Service1+x")
}

/// Asks over a connection of its own.
pub fn ask(socket: &Path, question: &[u8]) -> String {
    let mut answer = String::new();
    // Nobody may be there just now.
    if let Ok(mut stream) = UnixStream::connect(socket) {
        stream.write_all(question).unwrap();
        stream.read_to_string(&mut answer).unwrap();
    }
    answer
}

/// How long answers took.
#[derive(Clone, Copy)]
pub struct Times {
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
    pub longest: Answer,
}

/// One answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Answer {
    took: Duration,
    /// For so long of that the kernel let the thread that answers, or the one that asks, wait for a
    /// processor: what is the machine's doing.
    waited: Duration,
}

/// For how long a thread waited for a processor since it began, as the kernel counts.
fn waited(thread: &str) -> Duration {
    let path = format!("/proc/{thread}/schedstat");
    let counts = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let waited = counts.split(' ').nth(1).unwrap();
    Duration::from_nanos(waited.parse().unwrap())
}

impl Times {
    pub fn of(machine: &Machine, count: usize, pace: Duration) -> Self {
        Self::at(&machine.questions(), machine.answerer(), count, pace)
    }

    /// Asks so many questions that are allowed, with so much time between them, of a daemon whose
    /// thread `answerer` answers.
    pub fn at(socket: &Path, answerer: u32, count: usize, pace: Duration) -> Self {
        let answerer = format!("{answerer}/task/{answerer}");
        let delays = || waited(&answerer) + waited("thread-self");
        let one = |n| {
            let question = allowed(n);
            thread::sleep(pace);
            let before = delays();
            let start = Instant::now();
            let answer = ask(socket, &question);
            let took = start.elapsed();
            assert!(answer.contains("result=allow"), "{answer}");
            let waited = delays().saturating_sub(before);
            Answer { took, waited }
        };
        let mut answers: Vec<_> = (0..count).map(one).collect();
        answers.sort();
        Self {
            p50: answers[count / 2].took,
            p99: answers[count * 99 / 100].took,
            p999: answers[count * 999 / 1000].took,
            longest: answers[count - 1],
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let Answer { took, waited } = self.longest;
        let times = [self.p50, self.p99, self.p999, took, waited].map(micros);
        let [p50, p99, p999, longest, waited] = times;
        write!(
            f,
            "{p50:11.1} {p99:9.1} {p999:9.1} {longest:11.1} {waited:11.1}"
        )
    }
}
