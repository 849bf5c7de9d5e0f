// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prints how long a policy takes to load, to be bound to a system of 500 domains, and to decide
//! a call, for policies of 100 to 50 000 rules: `cargo bench -p bulkhead-policy`.
//!
//! A third of the calls each is allowed by a rule, denied by a rule, and denied for want of one: how
//! many of them a rule is about has an influence on the time, and differs with the number of rules.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_policy::{Call, Compiled, DomainRef, Policy, Requested, Verdict};
use policy_samples::large::{DOMAINS, Field, Numbers, RandomRule, rules, system};

const CALLS: usize = 50_000;

/// Longer than this is told as this, in nanoseconds.
const LONGEST: usize = 20_000;
/// The busy machine disturbs a round; the least disturbed one counts.
const ROUNDS: usize = 40;

fn main() {
    println!("{DOMAINS} domains, best of {ROUNDS} rounds of {CALLS} calls each");
    for kib in [16, 1024, 8192, 65_536] {
        println!("a load from anywhere in {kib:5} KiB: {:.0} ns", load(kib));
    }
    println!("a third of the calls each is allowed, denied, and what no rule is about");
    println!("    rules  services    load ms   bind ms   p50 ns   p99 ns");
    let system = Arc::new(system());
    let sizes = [100, 1_000, 5_000, 20_000, 50_000].map(|rules| (rules, 200));
    // The worst case: nothing but the domains tells the rules apart.
    for (count, services) in sizes.into_iter().chain([(5_000, 1), (50_000, 1)]) {
        let rules = rules(1, count, services, &["allow", "deny"]);
        let lines: Vec<_> = rules.iter().map(RandomRule::line).collect();
        let text = lines.join("\n");
        let load = best_of(5, || Policy::from_texts([("bench", text.as_str())]));
        let Ok(policy) = Policy::from_texts([("bench", text.as_str())]) else {
            println!("the policy of {} rules does not parse", rules.len());
            return;
        };
        let policy = Arc::new(policy);
        let bind = best_of(5, || Compiled::new(policy.clone(), system.clone()));
        let compiled = Compiled::new(policy, system.clone());
        let calls = calls(&compiled, &rules, services);
        let rounds = (0..ROUNDS).map(|_| round(&compiled, &calls));
        let (p99, p50) = rounds.min().unwrap_or_default();
        println!(
            "{:9} {services:9} {:10.1} {:9.2} {p50:8} {p99:8}",
            rules.len(),
            load.as_secs_f64() * 1e3,
            bind.as_secs_f64() * 1e3,
        );
    }
}

/// How long a load takes that depends on the one before, in nanoseconds.
fn load(kib: usize) -> f64 {
    let count = kib * 1024 / size_of::<u32>();
    let mut next: Vec<u32> = (0..count as u32).collect();
    // One round through all of them.
    let mut numbers = Numbers(3);
    for at in (1..count).rev() {
        next.swap(at, numbers.below(at));
    }
    let loads = 4_000_000;
    let mut at = 0;
    let start = Instant::now();
    for _ in 0..loads {
        at = next[at as usize];
    }
    let time = start.elapsed();
    black_box(at);
    time.as_secs_f64() * 1e9 / f64::from(loads)
}

/// Decides every call and returns the 99th and the 50th percentile, in nanoseconds.
///
/// As in the daemon, a call has just been read when it is decided.
fn round(compiled: &Compiled, calls: &[RandomCall]) -> (usize, usize) {
    let mut counts = [0_u32; LONGEST + 1];
    for call in calls {
        let Some(call) = call.read() else { continue };
        let start = Instant::now();
        let verdict = black_box(compiled.evaluate(black_box(&call)));
        let nanoseconds = start.elapsed().as_nanos() as usize;
        counts[nanoseconds.min(LONGEST)] += 1;
        drop(verdict);
    }
    let at = |percent: usize| {
        let mut below = calls.len() * percent / 100;
        let reached = counts.iter().position(|count| {
            let here = *count as usize;
            let reached = here > below;
            below = below.saturating_sub(here);
            reached
        });
        reached.unwrap_or(LONGEST)
    };
    (at(99), at(50))
}

fn best_of<T>(times: usize, run: impl Fn() -> T) -> Duration {
    let runs = (0..times).map(|_| {
        let start = Instant::now();
        black_box(run());
        start.elapsed()
    });
    runs.min().unwrap_or_default()
}

/// A call in little memory.
struct RandomCall {
    service: u16,
    source: u16,
    target: Option<Field>,
}

impl RandomCall {
    fn read(&self) -> Option<Call> {
        let target = self.target.map(Field::word).unwrap_or_default();
        Some(Call {
            source: DomainRef::parse(&format!("vm{}", self.source)).ok()?,
            service: format!("svc.Number{}+arg", self.service).parse().ok()?,
            target: Requested::parse(&target).ok()?,
        })
    }
}

/// How many times as many calls as are wanted are tried.
const TRIES: usize = 200;

/// As many calls of each kind, one after the other; where a kind is missing, of the others.
fn calls(compiled: &Compiled, rules: &[RandomRule], services: usize) -> Vec<RandomCall> {
    let mut numbers = Numbers(2);
    let mut kinds = [const { Vec::new() }; 3];
    for n in 0..TRIES * CALLS {
        let random = match n % 2 {
            0 => about_a_rule(rules, &mut numbers),
            _ => about_anything(services, &mut numbers),
        };
        let Some(call) = random.read() else { continue };
        let verdict = compiled.evaluate(&call);
        let kind = match (&verdict, verdict.rule()) {
            (Verdict::Allow(_), _) => 0,
            (_, Some(_)) => 1,
            (_, None) => 2,
        };
        if kinds[kind].len() < CALLS / 3 {
            kinds[kind].push(random);
        } else if kinds.iter().all(|calls| calls.len() >= CALLS / 3) {
            break;
        }
    }
    let mut kinds = kinds.map(Vec::into_iter);
    let mut calls = Vec::new();
    while calls.len() < CALLS {
        let before = calls.len();
        calls.extend(kinds.iter_mut().filter_map(Iterator::next));
        if calls.len() == before {
            break;
        }
    }
    calls
}

fn about_a_rule(rules: &[RandomRule], numbers: &mut Numbers) -> RandomCall {
    let rule = &rules[numbers.below(rules.len())];
    RandomCall {
        service: rule.service as u16,
        source: rule.source.one(numbers) as u16,
        target: Some(match rule.target {
            Field::DispVm => Field::DispVm,
            group => Field::Domain(group.one(numbers)),
        }),
    }
}

fn about_anything(services: usize, numbers: &mut Numbers) -> RandomCall {
    RandomCall {
        service: numbers.below(services) as u16,
        source: numbers.below(DOMAINS) as u16,
        target: match numbers.below(6) {
            0 => Some(Field::DispVm),
            1 => None,
            _ => Some(Field::Domain(numbers.below(DOMAINS))),
        },
    }
}
