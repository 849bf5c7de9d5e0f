// SPDX-License-Identifier: GPL-3.0-or-later
//! How long calls took while things were killed: printed, and never asserted.

use std::time::{Duration, Instant};

/// A call that has ended.
pub struct Ended {
    pub begun: Instant,
    pub ended: Instant,
    pub good: bool,
    /// How long its program had no processor.
    pub queued: Duration,
}

impl Ended {
    /// How long it took for its end to come after the last kill that it met, or since it was made.
    fn since_kill(&self, kills: &[Instant]) -> Duration {
        let met = kills.iter().filter(|kill| **kill < self.ended);
        self.ended - met.max().map_or(self.begun, |kill| self.begun.max(*kill))
    }
}

/// Upper ends in milliseconds; what took longer comes last.
const STEPS: [u128; 5] = [125, 250, 500, 750, 1000];

/// Prints how many of the calls took how long, from their beginning and from the last kill.
pub fn print(calls: &[Ended], kills: &[Instant]) {
    println!("{:40}    all <125 <250 <500 <750 <1 s more  longest", "ms");
    let whole = |call: &&Ended| call.ended - call.begun;
    let running = |call: &&Ended| whole(call).saturating_sub(call.queued);
    let failed = || calls.iter().filter(|call| !call.good);
    let succeeded = || calls.iter().filter(|call| call.good);
    line("calls that succeeded", succeeded().map(|c| whole(&c)));
    line(
        "  from the last kill before",
        succeeded().map(|c| c.since_kill(kills)),
    );
    line(
        "errors, from the call's beginning",
        failed().map(|c| whole(&c)),
    );
    line(
        "  without waits for a processor",
        failed().map(|c| running(&c)),
    );
    line(
        "errors, from the last kill before",
        failed().map(|c| c.since_kill(kills)),
    );
}

fn line(what: &str, times: impl Iterator<Item = Duration>) {
    let mut counts = [0; STEPS.len() + 1];
    let mut longest = 0;
    for time in times {
        let ms = time.as_millis();
        longest = longest.max(ms);
        let step = STEPS.iter().position(|step| ms < *step);
        counts[step.unwrap_or(STEPS.len())] += 1;
    }
    let counted: String = counts.iter().map(|count| format!("{count:5}")).collect();
    let all: usize = counts.iter().sum();
    println!("{what:40} {all:6}{counted}  {longest} ms");
}
