// SPDX-License-Identifier: MIT OR Apache-2.0
//! Prints how long a policy takes to load, to be bound to a system of 500 domains, and to decide
//! a call, for policies of 100 to 50 000 rules: `cargo bench -p bulkhead-policy`.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_policy::{Call, Compiled, Domain, DomainRef, Policy, Requested, System, Verdict};

const DOMAINS: usize = 500;
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
    for (rules, services) in sizes.into_iter().chain([(5_000, 1), (50_000, 1)]) {
        let rules = random_rules(rules, services);
        let text: String = rules.iter().map(RandomRule::line).collect();
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

/// A rule whose fields are about numbered services, domains, tags and teams.
struct RandomRule {
    service: usize,
    argument: &'static str,
    source: Field,
    target: Field,
    action: &'static str,
}

#[derive(Clone, Copy)]
enum Field {
    Domain(usize),
    Tag(usize),
    Team(usize),
    AnyVm,
    DispVm,
}

impl Field {
    fn word(self) -> String {
        match self {
            Self::Domain(n) => format!("vm{n}"),
            Self::Tag(n) => format!("@tag:tag{n}"),
            Self::Team(n) => format!("@tag:team{n}"),
            Self::AnyVm => "@anyvm".to_owned(),
            Self::DispVm => "@dispvm".to_owned(),
        }
    }

    /// The number of a domain that the field means.
    fn one(self, numbers: &mut Numbers) -> usize {
        match self {
            Self::Domain(n) => n,
            Self::Tag(n) => n + 20 * numbers.below(DOMAINS / 20),
            Self::Team(n) => n + 7 * numbers.below(DOMAINS / 7),
            Self::AnyVm | Self::DispVm => numbers.below(DOMAINS),
        }
    }
}

impl RandomRule {
    fn line(&self) -> String {
        let Self {
            service,
            argument,
            source,
            target,
            action,
        } = self;
        let (source, target) = (source.word(), target.word());
        format!("svc.Number{service} {argument} {source} {target} {action}\n")
    }
}

fn random_rules(count: usize, services: usize) -> Vec<RandomRule> {
    let mut numbers = Numbers(1);
    let one = |_| RandomRule {
        service: numbers.below(services),
        source: match numbers.below(10) {
            0 => Field::AnyVm,
            1..4 => Field::Tag(numbers.below(20)),
            _ => Field::Domain(numbers.below(DOMAINS)),
        },
        target: match numbers.below(10) {
            0 => Field::DispVm,
            1 => Field::AnyVm,
            2..4 => Field::Team(numbers.below(7)),
            _ => Field::Domain(numbers.below(DOMAINS)),
        },
        argument: ["+arg", "*", "*", "*", "*"][numbers.below(5)],
        action: ["allow", "deny"][numbers.below(2)],
    };
    (0..count).map(one).collect()
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
