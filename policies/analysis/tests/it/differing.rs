// SPDX-License-Identifier: GPL-3.0-or-later
//! Which decisions a change of policy changes.

use std::collections::BTreeMap;

use bulkhead_policy::{Call, DomainRef, Policy, Requested, System, Verdict};
use policy_analysis::{Decided, Difference, Kind};
use proptest::prelude::*;

use policy_samples::random;
use policy_samples::small::{policy, system};

fn differ(old: &str, new: &str) -> String {
    let (old, new, system) = (policy(old), policy(new), system());
    let difference = Difference::between(&old, &new, &system);
    let mut text = String::new();
    for change in &difference.changes {
        let kinds: Vec<_> = change.kinds().map(kind_text).collect();
        text.push_str(&format!(
            "{}: {} -> {}: {} => {}\n",
            kinds.join(" "),
            policy_analysis::listed(change.sources()),
            policy_analysis::listed(change.targets()),
            change.before,
            change.after
        ));
    }
    text
}

fn kind_text(kind: &Kind) -> String {
    let service = kind.service.as_deref().unwrap_or("*");
    format!("{service}{}", kind.argument.as_deref().unwrap_or("+*"))
}

#[test]
fn a_change_of_one_rule_changes_its_calls_and_the_list_of_ask() {
    let old = "s * work vault deny\ns * work @anyvm ask\ns +x * dom0 allow user=root\n";
    let new = "s * work vault allow\ns * work @anyvm ask\ns +x * dom0 allow\n";
    insta::assert_snapshot!(differ(old, new), @r"
    s+* s+x: work -> vault: deny => allow
    s+*: work -> @default, @dispvm, disp-base, disp-net, disp1, far and 7 more: ask @dispvm:disp-base, @dispvm:disp-net, disp-base, disp-net, disp1, far and 4 more => ask @dispvm:disp-base, @dispvm:disp-net, disp-base, disp-net, disp1, far and 5 more
    s+x: work -> @default, @dispvm, disp-base, disp-net, disp1, far and 7 more: ask @dispvm:disp-base, @dispvm:disp-net, disp-base, disp-net, disp1, dom0 and 5 more => ask @dispvm:disp-base, @dispvm:disp-net, disp-base, disp-net, disp1, dom0 and 6 more
    s+x: disp-base, disp-net, disp1, far, hidden, personal and 4 more -> dom0: allow, as root => allow
    ");
}

#[test]
fn what_is_written_otherwise_and_decides_the_same_is_no_change() {
    let old = "s * work vault allow\ns * work personal deny\n* * * * deny\n";
    let new = "s * work vault allow target=vault\n";
    assert_eq!(differ(old, new), "");
    assert_eq!(
        differ(
            "s * work @dispvm allow",
            "s * work @dispvm allow target=@dispvm:disp-base"
        ),
        ""
    );
}

/// All that counts as a decision, with the caller out of the list of choices.
fn decision(policy: &Policy, system: &System, call: &Call) -> String {
    match policy.evaluate(system, call) {
        Verdict::Allow(grant) => format!(
            "allow {} {:?} {} {}",
            grant.destination(),
            grant.user(),
            grant.autostart(),
            grant.notify()
        ),
        Verdict::Ask(question) => {
            let mut targets: Vec<_> = question.choices().iter().map(ToString::to_string).collect();
            targets.retain(|target| *target != call.source.to_string());
            format!(
                "ask {targets:?} {:?} {:?} {} {}",
                question.default().map(ToString::to_string),
                question.user(),
                question.autostart(),
                question.rule().action.notify()
            )
        }
        Verdict::Deny(reason) => format!("deny {}", reason.notify()),
    }
}

/// A decision as a difference tells it, in the words of [`decision`].
fn told(decided: &Decided, system: &System, source: &str, target: &str) -> String {
    let meant = || {
        let source = DomainRef::parse(source).unwrap();
        let own = system.find(&source).and_then(|d| d.default_dispvm.clone());
        match target {
            "@dispvm" => format!("@dispvm:{}", own.unwrap()),
            target => target.to_owned(),
        }
    };
    match decided.verdict {
        "allow" => format!(
            "allow {} {:?} {} {}",
            decided.target.clone().unwrap_or_else(meant),
            decided.user.as_deref(),
            decided.autostart.unwrap(),
            decided.notify
        ),
        "ask" => {
            let mut targets = decided.targets.clone();
            targets.retain(|target| **target != *source);
            format!(
                "ask {targets:?} {:?} {:?} {} {}",
                decided.default_target,
                decided.user.as_deref(),
                decided.autostart.unwrap(),
                decided.notify
            )
        }
        _ => format!("deny {}", decided.notify),
    }
}

type Changes = BTreeMap<(String, String, String), (String, String)>;

/// Every call of the system decided by both policies.
fn brute_force(old: &Policy, new: &Policy, system: &System) -> Changes {
    let mut changes = Changes::new();
    for call in random::every_call() {
        if system.find(&call.source).is_none() || call.service.to_string() == "s+9" {
            continue;
        }
        let requested = match &call.target {
            Requested::Default => "@default".to_owned(),
            Requested::AdminVm => "dom0".to_owned(),
            Requested::DispVm => "@dispvm".to_owned(),
            Requested::Domain(name) => name.to_string(),
            Requested::DispVmOf(name) => format!("@dispvm:{name}"),
            Requested::Unknown(text) => text.clone(),
        };
        let target = bulkhead_policy::Target::of(&call.target, system);
        // Another spelling of `@default`, or none that can be asked for.
        if target.is_err()
            || target == Ok(bulkhead_policy::Target::Default) && requested != "@default"
        {
            continue;
        }
        let (before, after) = (decision(old, system, &call), decision(new, system, &call));
        if before != after {
            let key = (call.source.to_string(), requested, call.service.to_string());
            changes.insert(key, (before, after));
        }
    }
    changes
}

/// The calls of `random` that stand for each kind.
fn services(kind: &Kind, named: &[Kind]) -> Vec<&'static str> {
    let all = ["s", "s+1", "t", "t+2", "u"];
    let argument = |service: &str| match service.split_once('+') {
        Some((name, argument)) => (name.to_owned(), format!("+{argument}")),
        None => (service.to_owned(), "+".to_owned()),
    };
    let of = |service: &&str| {
        let (name, argument) = argument(service);
        let exact = Kind {
            service: Some(name.clone()),
            argument: Some(argument),
        };
        let any = Kind {
            service: Some(name),
            argument: None,
        };
        let found = [
            exact,
            any,
            Kind {
                service: None,
                argument: None,
            },
        ];
        found.into_iter().find(|kind| named.contains(kind)).as_ref() == Some(kind)
    };
    all.into_iter().filter(|s| of(s)).collect()
}

/// The kinds that the rules tell apart.
fn kinds(rules: &[&[String]]) -> Vec<Kind> {
    let mut kinds = vec![Kind {
        service: None,
        argument: None,
    }];
    for rule in rules.iter().copied().flatten() {
        let words: Vec<_> = rule.split(' ').collect();
        if words[0] != "*" {
            let service = Some(words[0].to_owned());
            kinds.push(Kind {
                service: service.clone(),
                argument: None,
            });
            if words[1] != "*" {
                kinds.push(Kind {
                    service,
                    argument: Some(words[1].to_owned()),
                });
            }
        }
    }
    kinds
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_difference_is_what_deciding_every_call_finds(
        old in random::rules(),
        new in random::rules(),
        shared in proptest::bool::ANY,
        system in random::system(),
    ) {
        // Half of the pairs are one policy and a change of it.
        let new = match shared {
            true => old.iter().skip(1).chain(new.first()).cloned().collect(),
            false => new,
        };
        let (before, after) = (random::policy(&old), random::policy(&new));
        let difference = Difference::between(&before, &after, &system);
        let named = kinds(&[&old, &new]);
        let mut found = Changes::new();
        for change in &difference.changes {
            for service in change.kinds().flat_map(|kind| services(kind, &named)) {
                for source in change.sources() {
                    for target in change.targets() {
                        let key = (source.to_string(), target.to_string(), service.to_owned());
                        let told = |decided| told(decided, &system, source, target);
                        let twice = found.insert(key, (told(&change.before), told(&change.after)));
                        prop_assert!(twice.is_none());
                    }
                }
            }
        }
        prop_assert_eq!(found, brute_force(&before, &after, &system));
    }
}
