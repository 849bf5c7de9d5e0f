// SPDX-License-Identifier: GPL-3.0-or-later
//! Prints how long a question takes, from connecting to the end of the answer: at rest, while the
//! policy is read again and again, beside a domain that asks as fast as it can, and after a kill;
//! and what the ledger takes of it. `cargo bench -p policyd`.
//!
//! On a busy machine `chrt --reset-on-fork --fifo 20`, as cargo's runner, keeps other programs away
//! from the one who asks, and leaves the daemon as it is. With `ANSWERER_PRIORITY=20` the thread
//! that answers gets real-time priority as well, the daemon's others do not: what is then left are
//! the daemon's own pauses.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

mod asker;
mod ledger;
mod machine;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use asker::{Times, allowed, ask, question};
use machine::{ASKERS, Machine, rules};

const QUESTIONS: usize = 5_000;
const FEW_DOMAINS: usize = ASKERS + 1;
/// On a machine that does other things as well, the least disturbed round counts.
const ROUNDS: usize = 5;

fn main() {
    println!(
        "a question over the socket     rules      p50 µs    p99 µs  p99.9 µs  longest µs  for a processor"
    );
    for count in [10, 5_000, 50_000] {
        let machine = Machine::start(&rules(count), FEW_DOMAINS);
        let times = best((0..ROUNDS).map(|_| Times::of(&machine, QUESTIONS, Duration::ZERO)));
        println!("{:26} {count:9} {times}", "at rest");
    }
    while_reading();
    beside_a_flood();
    after_a_kill();
    ledger::measure();
}

fn best(rounds: impl Iterator<Item = Times>) -> Times {
    rounds.min_by_key(|times| times.p99).unwrap()
}

/// Answers while 5 000 rules, or the state of 500 domains, are taken over and over.
fn while_reading() {
    let mut machine = Machine::start(&rules(5_000), 500);
    let pace = Duration::from_micros(200);
    let still = best((0..ROUNDS).map(|_| Times::of(&machine, QUESTIONS, pace)));
    println!("{:26} {:>9} {still}", "500 domains, at rest", 5_000);
    let texts = [rules(5_000), rules(4_999)];
    for what in ["reading the policy", "taking the domains' state"] {
        let (mut times, mut taken) = (Vec::new(), 0);
        for _ in 0..ROUNDS {
            let over = AtomicBool::new(false);
            let (questions, answerer) = (machine.questions(), machine.answerer());
            let (round, rounds) = thread::scope(|scope| {
                let taking = scope.spawn(|| {
                    let mut rounds = 0;
                    while !over.load(Ordering::Relaxed) {
                        match what {
                            "reading the policy" => machine.install(&texts[rounds % 2]),
                            _ => machine.tell_domains(499 + rounds % 2),
                        }
                        rounds += 1;
                    }
                    rounds
                });
                let times = Times::at(&questions, answerer, QUESTIONS, pace);
                over.store(true, Ordering::Relaxed);
                (times, taking.join().unwrap())
            });
            times.push(round);
            taken += rounds;
        }
        let times = best(times.into_iter());
        println!(
            "{what:26} {:>9} {times}   {taken} times in {ROUNDS} rounds",
            5_000
        );
    }
}

/// A domain's answers with and without another one that asks as fast as it can.
fn beside_a_flood() {
    let machine = Machine::start(&rules(5_000), FEW_DOMAINS);
    let (questions, answerer) = (machine.questions(), machine.answerer());
    let pace = Duration::from_millis(1);
    const FEW: usize = 2_000;
    // What may be asked at once after a rest is used up before.
    let flood = question("vault", "asker0", "my.Service1+x");
    while !ask(&questions, &flood).contains("refusal=quota") {}
    let (mut alone, mut beside, mut asked) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        alone.push(Times::at(&questions, answerer, FEW, pace));
        let over = AtomicBool::new(false);
        let count = AtomicUsize::new(0);
        let times = thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    ask(&questions, &flood);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
            let times = Times::at(&questions, answerer, FEW, pace);
            over.store(true, Ordering::Relaxed);
            times
        });
        beside.push(times);
        asked += count.into_inner();
    }
    let (alone, beside) = (best(alone.into_iter()), best(beside.into_iter()));
    let more = 100.0 * (beside.p99.as_secs_f64() / alone.p99.as_secs_f64() - 1.0);
    println!("{:26} {:>9} {alone}", "one domain, at its pace", 5_000);
    println!(
        "{:26} {:>9} {beside}   p99 {more:+.0} %, {asked} questions of the flood",
        "beside a flood", 5_000
    );
}

/// From `kill -9` to the first call that is allowed again, the daemon started again at once.
fn after_a_kill() {
    let mut machine = Machine::start(&rules(5_000), 500);
    let questions = machine.questions();
    let asked = allowed(0);
    let mut longest = Duration::ZERO;
    for _ in 0..ROUNDS {
        let killed = Instant::now();
        machine.kill();
        assert!(fs::exists(&questions).unwrap());
        machine.start_again();
        while !ask(&questions, &asked).contains("result=allow") {}
        longest = longest.max(killed.elapsed());
    }
    println!(
        "killed, started again and allowing calls by 5000 rules among 500 domains: {:.0} ms at most",
        longest.as_secs_f64() * 1e3
    );
}
