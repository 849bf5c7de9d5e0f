// SPDX-License-Identifier: MIT OR Apache-2.0
//! The evaluator with its index and the naive one decide alike, whatever the policy, the
//! system and the call. `POLICY_CASES` sets how many calls are tried in all, several hundred
//! for each policy and system.

use std::cell::Cell;
use std::sync::Arc;

use bulkhead_policy::{Call, Compiled, Domain, DomainRef, Policy, Requested, System, Verdict};
use policy_samples::random::{NAMES, UUIDS, domains, rules};
use policy_samples::{large, told};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::naive::{self, Machine, World};

const SERVICES: [&str; 4] = ["s", "s+1", "s+", "t+2"];

/// As the naive evaluator sees a domain.
fn as_machine(domain: &Domain) -> Machine {
    Machine {
        name: domain.name.to_string(),
        class: domain.class.clone(),
        uuid: domain.uuid.as_ref().unwrap().to_string(),
        tags: domain.tags.clone(),
        template: domain.template_for_dispvms,
        default: domain.default_dispvm.as_ref().map(ToString::to_string),
        running: domain.is_running(),
        internal: domain.internal,
    }
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
    let policies = (rules(), domains(&["AppVM", "DispVM"]));
    let outcome = runner.run(&policies, |(rules, domains)| {
        let machines = domains.iter().map(as_machine);
        let world = machines.map(|m| (m.name.clone(), m)).collect();
        let text = rules.join("\n");
        let policy = Policy::from_texts([("p", text.as_str())])
            .map_err(|rejected| TestCaseError::fail(rejected.to_string()))?;
        let compiled = Compiled::new(Arc::new(policy), Arc::new(System::new(domains)));
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

#[test]
fn a_policy_of_many_words_decides_the_same_with_and_without_rows() {
    let rules = large::rules(1, 2_000, 5, &["allow", "deny", "ask"]);
    let lines: Vec<_> = rules.iter().map(large::RandomRule::line).collect();
    let policy = Policy::from_texts([("p", lines.join("\n").as_str())]).unwrap();
    let (policy, system) = (Arc::new(policy), Arc::new(large::system()));
    let compiled = Compiled::new(policy.clone(), system.clone());
    let mut numbers = large::Numbers(2);
    let mut allowed = 0;
    for _ in 0..5_000 {
        let (service, source) = (numbers.below(6), numbers.below(large::DOMAINS));
        let target = match numbers.below(4) {
            0 => "@dispvm".to_owned(),
            1 => format!("@dispvm:vm{}", numbers.below(50) * 10),
            _ => format!("vm{}", numbers.below(large::DOMAINS)),
        };
        let call = Call {
            source: DomainRef::parse(&format!("vm{source}")).unwrap(),
            service: format!("svc.Number{service}+arg").parse().unwrap(),
            target: Requested::parse(&target).unwrap(),
        };
        let (with, without) = (compiled.evaluate(&call), policy.evaluate(&system, &call));
        let place = |verdict: &Verdict| verdict.rule().map(|rule| rule.location.line);
        assert_eq!(place(&with), place(&without), "{source} {target} {service}");
        assert_eq!(with.word(), without.word());
        allowed += usize::from(with.word() == "allow");
    }
    assert!(allowed > 500, "only {allowed} are allowed");
}
