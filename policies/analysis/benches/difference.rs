// SPDX-License-Identifier: GPL-3.0-or-later
//! Prints how long it takes to compare two policies of 5 000 rules about 200 services in a system
//! of 500 domains: alike but for some rules, and with nothing in common.
//! `cargo bench -p policy-analysis`.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use bulkhead_policy::{Domain, Policy, System};
use policy_analysis::Difference;

const RULES: usize = 5_000;
const DOMAINS: usize = 500;
const SERVICES: usize = 200;
const ROUNDS: usize = 5;

fn main() {
    println!("{RULES} rules, {DOMAINS} domains, {SERVICES} services, best of {ROUNDS} rounds");
    println!("                            seconds   decisions      changed   in changes");
    let system = system();
    let base = rules(1);
    let edited = base.iter().enumerate().map(|(at, rule)| match at % 100 {
        0 => format!("{rule} notify=no").replace("allow notify=no", "deny"),
        _ => rule.clone(),
    });
    let silent: Vec<_> = base.iter().map(|rule| turned(rule)).collect();
    for (name, other) in [
        ("itself", base.clone()),
        ("one rule of a hundred edited", edited.collect()),
        ("every rule turned round", silent),
        ("nothing in common", rules(2)),
    ] {
        let (Some(old), Some(new)) = (policy(&base), policy(&other)) else {
            println!("a policy does not parse");
            return;
        };
        let mut best = Duration::MAX;
        let mut found = (0, 0, 0);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let difference = Difference::between(&old, &new, &system);
            best = best.min(start.elapsed());
            let changes = difference.changes.len();
            found = (difference.compared, difference.changed(), changes);
        }
        let (compared, changed, changes) = found;
        let seconds = best.as_secs_f64();
        println!("{name:28} {seconds:6.2} {compared:11} {changed:12} {changes:12}");
    }
}

/// The same rule with the opposite action.
fn turned(rule: &str) -> String {
    match rule.strip_suffix(" allow") {
        Some(fields) => format!("{fields} deny"),
        None => rule.replace(" deny", " allow"),
    }
}

fn policy(rules: &[String]) -> Option<Policy> {
    let text = rules.join("\n");
    Policy::from_texts([("bench", text.as_str())]).ok()
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

fn rules(seed: u64) -> Vec<String> {
    let mut numbers = Numbers(seed);
    let one = |_| {
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
        let action = ["allow", "deny", "ask"][numbers.below(3)];
        format!("svc.Number{service} {argument} {source} {target} {action}")
    };
    (0..RULES).map(one).collect()
}

fn system() -> System {
    let base = "vm0".parse().ok();
    let domain = |n: usize| {
        Some(Domain {
            name: format!("vm{n}").parse().ok()?,
            class: "AppVM".to_owned(),
            uuid: format!("{n:08x}-1111-4111-8111-111111111111").parse().ok(),
            tags: vec![format!("tag{}", n % 20), format!("team{}", n % 7)],
            template_for_dispvms: n.is_multiple_of(10),
            default_dispvm: base.clone(),
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
