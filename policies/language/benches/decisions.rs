// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prints how long a policy takes to load, to be bound to a system of 500 domains, and to decide
//! a call, for policies of 100 to 50 000 rules: `cargo bench -p bulkhead-policy`.
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
    println!("half of the calls are about a rule, the other half about anything");
    println!(
        "    rules  services    load ms   bind ms   p50 ns   p99 ns   allowed    denied   no rule"
    );
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
        let calls = calls(&rules, services);
        let rounds = (0..ROUNDS).map(|_| round(&compiled, &calls));
        let (p99, p50) = rounds.min().unwrap_or_default();
        let verdicts: Vec<_> = calls
            .iter()
            .filter_map(|call| Some(compiled.evaluate(&call.read()?)))
            .collect();
        let share = |which: fn(&Verdict) -> bool| {
            let those = verdicts.iter().filter(|verdict| which(verdict)).count();
            100.0 * those as f64 / verdicts.len() as f64
        };
        println!(
            "{:9} {services:9} {:10.1} {:9.2} {p50:8} {p99:8} {:7.0} % {:7.0} % {:7.0} %",
            rules.len(),
            load.as_secs_f64() * 1e3,
            bind.as_secs_f64() * 1e3,
            share(|verdict| matches!(verdict, Verdict::Allow(_))),
            share(|verdict| matches!(verdict, Verdict::Deny(_)) && verdict.rule().is_some()),
            share(|verdict| verdict.rule().is_none()),
        );
    }
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

fn calls(rules: &[RandomRule], services: usize) -> Vec<RandomCall> {
    let mut numbers = Numbers(2);
    let one = |at: usize| {
        if at.is_multiple_of(2) {
            let rule = &rules[numbers.below(rules.len())];
            let source = rule.source.one(&mut numbers);
            let target = match rule.target {
                Field::DispVm => Field::DispVm,
                group => Field::Domain(group.one(&mut numbers)),
            };
            return RandomCall {
                service: rule.service as u16,
                source: source as u16,
                target: Some(target),
            };
        }
        RandomCall {
            service: numbers.below(services) as u16,
            source: numbers.below(DOMAINS) as u16,
            target: match numbers.below(6) {
                0 => Some(Field::DispVm),
                1 => None,
                _ => Some(Field::Domain(numbers.below(DOMAINS))),
            },
        }
    };
    (0..CALLS).map(one).collect()
}
