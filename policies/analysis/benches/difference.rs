// SPDX-License-Identifier: GPL-3.0-or-later
//! Prints how long it takes to compare two policies of 5 000 rules about 200 services in a system
//! of 500 domains: alike but for some rules, and with nothing in common.
//! `cargo bench -p policy-analysis`.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use bulkhead_policy::Policy;
use policy_analysis::Difference;
use policy_samples::large::{self, DOMAINS, RandomRule};

const RULES: usize = 5_000;
const SERVICES: usize = 200;
const ROUNDS: usize = 5;

fn main() {
    println!("{RULES} rules, {DOMAINS} domains, {SERVICES} services, best of {ROUNDS} rounds");
    println!("                            seconds   decisions      changed   in changes");
    let system = large::system();
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

fn rules(seed: u64) -> Vec<String> {
    let rules = large::rules(seed, RULES, SERVICES, &["allow", "deny", "ask"]);
    rules.iter().map(RandomRule::line).collect()
}
