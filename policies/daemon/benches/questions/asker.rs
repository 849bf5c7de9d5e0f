// SPDX-License-Identifier: GPL-3.0-or-later
//! Asks as a qrexec daemon does, and counts the time.

use std::fmt;
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
    pub longest: Duration,
}

impl Times {
    pub fn of(machine: &Machine, count: usize, pace: Duration) -> Self {
        Self::at(&machine.questions(), count, pace)
    }

    /// Asks so many questions that are allowed, with so much time between them.
    pub fn at(socket: &Path, count: usize, pace: Duration) -> Self {
        let one = |n| {
            let question = allowed(n);
            thread::sleep(pace);
            let start = Instant::now();
            let answer = ask(socket, &question);
            assert!(answer.contains("result=allow"), "{answer}");
            start.elapsed()
        };
        let mut times: Vec<_> = (0..count).map(one).collect();
        times.sort();
        Self {
            p50: times[count / 2],
            p99: times[count * 99 / 100],
            p999: times[count * 999 / 1000],
            longest: times[count - 1],
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let times = [self.p50, self.p99, self.p999, self.longest];
        let [p50, p99, p999, longest] = times.map(micros);
        write!(f, "{p50:11.1} {p99:9.1} {p999:9.1} {longest:11.1}")
    }
}
