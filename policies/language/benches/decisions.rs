// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prints how long a policy takes to load and a call to be decided, for policies of 100,
//! 5 000 and 50 000 rules and a system of 500 domains: `cargo bench -p bulkhead-policy`.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_policy::{Call, Compiled, Domain, DomainRef, Policy, Requested, System, Verdict};

const DOMAINS: usize = 500;
const SERVICES: usize = 200;
const CALLS: usize = 200_000;

fn main() {
    println!("{DOMAINS} domains, {SERVICES} services, {CALLS} calls each");
    println!("    rules    load ms   p50 ns   p99 ns   mean ns   allowed");
    let system = Arc::new(system());
    for rules in [100, 5_000, 50_000] {
        let text = policy_text(rules);
        let load = best_of(5, || Policy::from_texts([("bench", text.as_str())]));
        let Ok(policy) = Policy::from_texts([("bench", text.as_str())]) else {
            println!("the policy of {rules} rules does not parse");
            return;
        };
        let compiled = Compiled::new(Arc::new(policy), system.clone());
        let calls = calls();
        let mut times = Vec::with_capacity(CALLS);
        let mut allowed = 0;
        // The first round warms the caches.
        for _ in 0..2 {
            times.clear();
            allowed = 0;
            for call in calls.iter().cycle().take(CALLS) {
                let start = Instant::now();
                let verdict = black_box(compiled.evaluate(black_box(call)));
                times.push(start.elapsed());
                allowed += usize::from(matches!(verdict, Verdict::Allow(_)));
            }
        }
        times.sort();
        let at = |part: usize| times[times.len() * part / 100].as_nanos();
        let total: Duration = times.iter().sum();
        println!(
            "{rules:9} {:10.1} {:8} {:8} {:9} {:8.0} %",
            load.as_secs_f64() * 1e3,
            at(50),
            at(99),
            total.as_nanos() / times.len() as u128,
            100.0 * allowed as f64 / CALLS as f64,
        );
    }
}

fn best_of<T>(times: usize, run: impl Fn() -> T) -> Duration {
    let runs = (0..times).map(|_| {
        let start = Instant::now();
        black_box(run());
        start.elapsed()
    });
    runs.min().unwrap_or_default()
}

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % limit
    }
}

fn system() -> System {
    let Ok(base) = "vm0".parse::<bulkhead_types::DomainName>() else {
        return System::default();
    };
    let domain = |n: usize| {
        Some(Domain {
            name: format!("vm{n}").parse().ok()?,
            class: "AppVM".to_owned(),
            uuid: format!("{n:08x}-1111-4111-8111-111111111111").parse().ok(),
            tags: vec![
                format!("tag{}", n % 20),
                format!("team{}", n % 7),
                "all".to_owned(),
            ],
            template_for_dispvms: n.is_multiple_of(10),
            default_dispvm: Some(base.clone()),
            power_state: "Running".to_owned(),
            label: "red".to_owned(),
            icon: String::new(),
            guivm: None,
            internal: false,
            relayvm: None,
            transport_rpc: None,
        })
    };
    System::new((0..DOMAINS).filter_map(domain))
}

fn policy_text(rules: usize) -> String {
    let mut numbers = Numbers(1);
    let mut text = String::new();
    for _ in 0..rules {
        let service = numbers.below(SERVICES);
        let source = match numbers.below(10) {
            0 => "@anyvm".to_owned(),
            1..4 => format!("@tag:tag{}", numbers.below(20)),
            _ => format!("vm{}", numbers.below(DOMAINS)),
        };
        let target = match numbers.below(10) {
            0 => "@dispvm".to_owned(),
            1 => "@anyvm".to_owned(),
            2..4 => format!("@tag:team{}", numbers.below(7)),
            _ => format!("vm{}", numbers.below(DOMAINS)),
        };
        let argument = if numbers.below(5) == 0 { "+arg" } else { "*" };
        let action = ["allow", "deny"][numbers.below(2)];
        text.push_str(&format!(
            "svc.Number{service} {argument} {source} {target} {action}\n"
        ));
    }
    text
}

fn calls() -> Vec<Call> {
    let mut numbers = Numbers(2);
    let one = |_| {
        let target = match numbers.below(6) {
            0 => "@dispvm".to_owned(),
            1 => String::new(),
            _ => format!("vm{}", numbers.below(DOMAINS)),
        };
        Some(Call {
            source: DomainRef::parse(&format!("vm{}", numbers.below(DOMAINS))).ok()?,
            service: format!("svc.Number{}+arg", numbers.below(SERVICES))
                .parse()
                .ok()?,
            target: Requested::parse(&target).ok()?,
        })
    };
    (0..10_000).filter_map(one).collect()
}
