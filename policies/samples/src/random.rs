// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random policies, systems and calls of few words, so that they meet.

use bulkhead_policy::{Call, Domain, DomainRef, Policy, Requested, System};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use crate::small::domain;

/// What domains may be called.
pub const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// The UUIDs of dom0 and, in their order, of those.
pub const UUIDS: [&str; 6] = [
    "00000000-0000-0000-0000-000000000000",
    "aaaaaaaa-1111-4111-8111-111111111111",
    "bbbbbbbb-1111-4111-8111-111111111111",
    "cccccccc-1111-4111-8111-111111111111",
    "dddddddd-1111-4111-8111-111111111111",
    "eeeeeeee-1111-4111-8111-111111111111",
];
const TAGS: [&str; 3] = ["x", "y", "z"];
const CLASSES: [&str; 3] = ["AppVM", "DispVM", "AdminVM"];
/// An argument and a service that no rule names are among them.
const SERVICES: [&str; 6] = ["s", "s+1", "s+9", "t", "t+2", "u"];

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

/// One rule.
pub fn rule() -> impl Strategy<Value = String> {
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
    fn machine(at: usize, classes: &'static [&'static str])(
        class in select(classes),
        relay in proptest::option::of(select(&NAMES[..])),
        tags in subsequence(&TAGS[..], 0..=2),
        template: bool,
        default in proptest::option::of(select(&["a", "b", "gone"][..])),
        running: bool,
        internal in proptest::bool::weighted(0.2),
    ) -> Domain {
        Domain {
            uuid: Some(UUIDS[at + 1].parse().unwrap()),
            tags: tags.into_iter().map(str::to_owned).collect(),
            template_for_dispvms: template,
            default_dispvm: default.map(|name| name.parse().unwrap()),
            power_state: if running { "Running" } else { "Halted" }.to_owned(),
            internal,
            relayvm: relay.map(|name| name.parse().unwrap()),
            transport_rpc: Some("r".to_owned()),
            ..domain(NAMES[at], class)
        }
    }
}

/// Dom0 and some domains of the given classes.
pub fn domains(classes: &'static [&'static str]) -> impl Strategy<Value = Vec<Domain>> {
    let machines: Vec<_> = (0..NAMES.len())
        .map(|at| proptest::option::weighted(0.8, machine(at, classes)))
        .collect();
    (machines, any::<bool>()).prop_map(|(machines, tagged)| {
        let dom0 = Domain {
            uuid: Some(UUIDS[0].parse().unwrap()),
            tags: tagged.then(|| "x".to_owned()).into_iter().collect(),
            default_dispvm: Some("a".parse().unwrap()),
            guivm: None,
            ..domain("dom0", "AdminVM")
        };
        machines.into_iter().flatten().chain([dom0]).collect()
    })
}

/// A system with all there can be, domains on other machines included.
pub fn system() -> impl Strategy<Value = System> {
    domains(&["AppVM", "AppVM", "DispVM", "RemoteVM"]).prop_map(System::new)
}

/// The rules of a policy.
pub fn rules() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec(rule(), 0..14)
}

/// The policy of these rules.
pub fn policy(rules: &[String]) -> Policy {
    let text = rules.join("\n");
    match Policy::from_texts([("p", text.as_str())]) {
        Ok(policy) => policy,
        Err(rejected) => panic!("{rejected}"),
    }
}

/// Every call by name that can differ from another in these systems.
pub fn every_call() -> Vec<Call> {
    let mut targets = vec![
        "@default".to_owned(),
        "@dispvm".to_owned(),
        "dom0".to_owned(),
    ];
    targets.extend(NAMES.iter().map(|name| name.to_string()));
    targets.extend(NAMES.iter().map(|name| format!("@dispvm:{name}")));
    let mut calls = Vec::new();
    for source in NAMES.iter().chain(&["dom0", "gone"]) {
        for target in &targets {
            for service in SERVICES {
                calls.push(Call {
                    source: DomainRef::parse(source).unwrap(),
                    service: service.parse().unwrap(),
                    target: Requested::parse(target).unwrap(),
                });
            }
        }
    }
    calls
}
