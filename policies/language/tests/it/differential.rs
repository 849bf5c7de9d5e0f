// SPDX-License-Identifier: MIT OR Apache-2.0
//! The evaluator with its index and the naive one decide alike, whatever the policy, the
//! system and the call. `POLICY_CASES` sets how many calls are tried in all, several hundred
//! for each policy and system.

use std::cell::Cell;
use std::sync::Arc;

use bulkhead_policy::{Call, Compiled, Domain, DomainRef, Policy, Requested, System, Verdict};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::TestRunner;

use crate::naive::{self, Machine, World};
use crate::world::{domain, told};

// Few words, so that rules and calls meet.
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const UUIDS: [&str; 6] = [
    "00000000-0000-0000-0000-000000000000",
    "aaaaaaaa-1111-4111-8111-111111111111",
    "bbbbbbbb-1111-4111-8111-111111111111",
    "cccccccc-1111-4111-8111-111111111111",
    "dddddddd-1111-4111-8111-111111111111",
    "eeeeeeee-1111-4111-8111-111111111111",
];
const TAGS: [&str; 3] = ["x", "y", "z"];
const CLASSES: [&str; 3] = ["AppVM", "DispVM", "AdminVM"];
const SERVICES: [&str; 4] = ["s", "s+1", "s+", "t+2"];

/// A domain by name or UUID, perhaps dom0, perhaps one that is not there.
fn spelling() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(&NAMES[..]).prop_map(str::to_owned),
        2 => select(&UUIDS[..]).prop_map(|uuid| format!("uuid:{uuid}")),
        1 => select(&["dom0", "@adminvm", "gone"][..]).prop_map(str::to_owned),
    ]
}

/// As [`spelling`], without the keyword.
fn plain() -> impl Strategy<Value = String> {
    spelling().prop_map(|text| text.replace("@adminvm", "dom0"))
}

fn group() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => Just("@anyvm".to_owned()),
        1 => select(&TAGS[..]).prop_map(|tag| format!("@tag:{tag}")),
        1 => select(&CLASSES[..]).prop_map(|class| format!("@type:{class}")),
    ]
}

fn disposable() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("@dispvm".to_owned()),
        plain().prop_map(|name| format!("@dispvm:{name}")),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    let service = prop_oneof![
        1 => Just("* *".to_owned()),
        2 => select(&["s *", "s +", "s +1", "t *", "t +2"][..]).prop_map(str::to_owned),
    ];
    let source = prop_oneof![
        3 => spelling(),
        3 => group(),
        1 => plain().prop_map(|name| format!("@dispvm:{name}")),
    ];
    let tag = select(&TAGS[..]).prop_map(|tag| format!("@dispvm:@tag:{tag}"));
    let target = prop_oneof![
        3 => spelling(), 3 => group(), 2 => disposable(), 1 => tag, 1 => Just("@default".to_owned()),
    ];
    let redirect = || proptest::option::weighted(0.3, prop_oneof![spelling(), disposable()]);
    let action = select(&["allow", "ask", "deny"][..]);
    (
        service,
        source,
        target,
        action,
        redirect(),
        redirect(),
        any::<bool>(),
    )
        .prop_map(
            |(service, source, target, action, redirect, default, autostart)| {
                let mut rule = format!("{service} {source} {target} {action}");
                // A rule that allows the default has to say where to.
                let redirect = match (target.as_str(), action) {
                    ("@default", "allow") => Some(redirect.unwrap_or_else(|| "a".to_owned())),
                    _ => redirect,
                };
                if action != "deny" {
                    rule.extend(redirect.map(|target| format!(" target={target}")));
                    rule.push_str(if autostart { "" } else { " autostart=no" });
                }
                if action == "ask" {
                    rule.extend(default.map(|target| format!(" default_target={target}")));
                }
                rule
            },
        )
}

prop_compose! {
    fn machine(at: usize)(
        class in select(&CLASSES[..2]),
        tags in subsequence(&TAGS[..], 0..=2),
        template: bool,
        default in proptest::option::of(select(&["a", "b", "gone"][..])),
        running: bool,
        internal in proptest::bool::weighted(0.2),
    ) -> Machine {
        Machine {
            name: NAMES[at].to_owned(),
            class: class.to_owned(),
            uuid: UUIDS[at + 1].to_owned(),
            tags: tags.into_iter().map(str::to_owned).collect(),
            template,
            default: default.map(str::to_owned),
            running,
            internal,
        }
    }
}

fn world() -> impl Strategy<Value = World> {
    let machines: Vec<_> = (0..NAMES.len())
        .map(|at| proptest::option::weighted(0.8, machine(at)))
        .collect();
    (machines, any::<bool>()).prop_map(|(machines, tagged)| {
        let dom0 = Machine {
            name: "dom0".to_owned(),
            class: "AdminVM".to_owned(),
            uuid: UUIDS[0].to_owned(),
            tags: tagged.then(|| "x".to_owned()).into_iter().collect(),
            template: false,
            default: Some("a".to_owned()),
            running: true,
            internal: false,
        };
        let machines = machines.into_iter().flatten().chain([dom0]);
        machines.map(|m| (m.name.clone(), m)).collect()
    })
}

fn as_system(world: &World) -> System {
    System::new(world.values().map(|m| Domain {
        uuid: Some(m.uuid.parse().unwrap()),
        tags: m.tags.clone(),
        template_for_dispvms: m.template,
        default_dispvm: m.default.as_ref().map(|name| name.parse().unwrap()),
        power_state: if m.running { "Running" } else { "Halted" }.to_owned(),
        internal: m.internal,
        ..domain(&m.name, &m.class)
    }))
}

fn every_call() -> Vec<(String, String, &'static str)> {
    let uuids = UUIDS.iter().map(|uuid| format!("uuid:{uuid}"));
    let domains: Vec<_> = NAMES
        .iter()
        .map(|name| name.to_string())
        .chain(uuids)
        .chain(["dom0".to_owned(), "gone".to_owned()])
        .collect();
    let mut targets = domains.clone();
    targets.extend(domains.iter().map(|name| format!("@dispvm:{name}")));
    targets.extend(["", "@default", "@dispvm", "@adminvm"].map(str::to_owned));
    let mut calls = Vec::new();
    for source in [
        "a",
        "b",
        "c",
        "dom0",
        "gone",
        "uuid:aaaaaaaa-1111-4111-8111-111111111111",
    ] {
        for target in &targets {
            for service in SERVICES {
                calls.push((source.to_owned(), target.clone(), service));
            }
        }
    }
    calls
}

/// Decides a call three ways; whether a rule decided it.
fn alike(
    rules: &[String],
    world: &World,
    compiled: &Compiled,
    (source, target, service): &(String, String, &'static str),
) -> Result<bool, TestCaseError> {
    let call = Call {
        source: DomainRef::parse(source).unwrap(),
        service: service.parse().unwrap(),
        target: Requested::parse(target).unwrap(),
    };
    let verdict = compiled.policy().evaluate(compiled.system(), &call);
    prop_assert_eq!(told(verdict.clone()), told(compiled.evaluate(&call)));
    let line = verdict.rule().map_or(0, |rule| rule.location.line as usize);
    let found = match verdict {
        Verdict::Deny(_) => "deny".to_owned(),
        other => told(other),
    };
    let expected = naive::decide(rules, world, source, target, service);
    prop_assert_eq!(
        (found, line),
        expected,
        "{} -> {} {}",
        source,
        target,
        service
    );
    Ok(line > 0)
}

/// How many cases are tried: `POLICY_CASES`, or a million.
fn wanted() -> usize {
    match std::env::var("POLICY_CASES") {
        Ok(text) => text.parse().expect("POLICY_CASES is a number"),
        Err(_) => 1_000_000,
    }
}

#[test]
fn the_index_decides_as_a_walk_over_the_text_does() {
    let calls = every_call();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: wanted().div_ceil(calls.len()) as u32,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let (tried, decided) = (Cell::new(0), Cell::new(0));
    let policies = (proptest::collection::vec(rule(), 0..14), world());
    let outcome = runner.run(&policies, |(rules, world)| {
        let text = rules.join("\n");
        let policy = Policy::from_texts([("p", text.as_str())])
            .map_err(|rejected| TestCaseError::fail(rejected.to_string()))?;
        let compiled = Compiled::new(Arc::new(policy), Arc::new(as_system(&world)));
        for call in &calls {
            let by_rule = alike(&rules, &world, &compiled, call)?;
            tried.set(tried.get() + 1);
            decided.set(decided.get() + usize::from(by_rule));
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let (tried, decided) = (tried.get(), decided.get());
    println!("{tried} cases; a rule decided {decided} of them");
    assert!(tried >= wanted(), "only {tried} cases were tried");
    assert!(
        decided > tried / 5,
        "rules and calls seldom meet: {decided} of {tried}"
    );
}
