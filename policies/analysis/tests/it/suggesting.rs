// SPDX-License-Identifier: GPL-3.0-or-later
//! The smallest rule that would allow a call.

use std::cell::Cell;

use bulkhead_policy::{Policy, System, Verdict};
use policy_analysis::Explainer;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use policy_samples::random::{self, every_call};
use policy_samples::small::{call, policy, system};
use policy_samples::told;

fn suggested(rules: &str, source: &str, target: &str) -> String {
    let (policy, system) = (policy(rules), system());
    let explainer = Explainer::new(&policy, &system);
    let explanation = explainer.explain(&call(source, target, "s"));
    match explanation.suggestion {
        Some(suggestion) => match suggestion.before {
            Some(before) => format!("{} (before {before})", suggestion.rule),
            None => suggestion.rule,
        },
        None => explanation.remarks.join("; "),
    }
}

#[test]
fn a_rule_names_one_service_argument_source_and_target() {
    assert_eq!(suggested("", "work", "vault"), "s + work vault allow");
    assert_eq!(
        suggested("s * * * deny", "work", policy_samples::small::WORK_UUID),
        "no rule can allow it: a domain cannot call itself"
    );
    assert_eq!(
        suggested("* * * * deny", "disp1", "@adminvm"),
        "s + disp1 @adminvm allow (before p:1)"
    );
    assert_eq!(suggested("", "dom0", "work"), "s + @adminvm work allow");
    assert_eq!(suggested("", "work", "@dispvm"), "s + work @dispvm allow");
    assert_eq!(
        suggested("s * * * deny", "vault", "@dispvm"),
        "no rule can allow it: the caller has no default template for disposables"
    );
}

#[test]
fn a_disposable_of_the_default_template_leaves_the_word_dispvm_refused() {
    assert_eq!(
        suggested("s * * @dispvm deny notify=no", "work", "@dispvm:disp-base"),
        "s + work @dispvm deny notify=no\ns + work @dispvm:disp-base allow"
    );
    assert_eq!(
        suggested("s * * @dispvm allow", "work", "@dispvm:disp-base"),
        "s + work @dispvm:disp-base allow"
    );
    assert_eq!(
        suggested("", "work", "@dispvm:disp-net"),
        "s + work @dispvm:disp-net allow"
    );
}

#[test]
fn what_no_single_rule_allows_is_said() {
    let told = suggested("", "work", "gone");
    assert!(
        told.contains("only allow a call without a target by choosing one"),
        "{told}"
    );
    let told = suggested("", "work", "@dispvm:vault");
    assert!(told.contains("there is no such template"), "{told}");
    // The question for `@default` is refused for want of any choice, and must stay so.
    let told = suggested("s * work @default ask", "work", "vault");
    assert!(
        told.contains("would also give p:1 a target to ask for"),
        "{told}"
    );
}

/// A decision as far as a suggestion must leave it alone: the list of `ask` may grow.
fn decision(policy: &Policy, system: &System, call: &bulkhead_policy::Call) -> String {
    match policy.evaluate(system, call) {
        Verdict::Ask(_) => "ask".to_owned(),
        Verdict::Deny(_) => "deny".to_owned(),
        allow => told(allow),
    }
}

/// How many refused calls are tried.
const DENIALS: usize = 10_000;

#[test]
fn adding_the_suggested_rule_changes_that_decision_and_no_other() {
    let calls = every_call();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let picked = proptest::collection::vec(any::<proptest::sample::Index>(), 30);
    let (tried, refused) = (Cell::new(0), Cell::new(0));
    let worlds = (random::rules(), random::system(), picked);
    let outcome = runner.run(&worlds, |(rules, system, picked)| {
        if tried.get() >= DENIALS {
            return Ok(());
        }
        let before = random::policy(&rules);
        let explainer = Explainer::new(&before, &system);
        let decisions: Vec<_> = calls
            .iter()
            .map(|call| decision(&before, &system, call))
            .collect();
        for at in picked.iter().map(|at| at.index(calls.len())) {
            refused.set(refused.get() + usize::from(decisions[at] == "deny"));
            let explanation = explainer.explain(&calls[at]);
            let Some(suggestion) = explanation.suggestion else {
                continue;
            };
            prop_assert_eq!(&decisions[at], "deny");
            let mut with = vec![suggestion.rule.clone()];
            with.extend(rules.iter().cloned());
            let after = random::policy(&with);
            let asked = explanation.target.unwrap();
            for (call, was) in calls.iter().zip(&decisions) {
                let now = decision(&after, &system, call);
                let same = call.source == calls[at].source
                    && call.service.policy_argument() == calls[at].service.policy_argument()
                    && call.service.name() == calls[at].service.name()
                    && bulkhead_policy::Target::of(&call.target, &system).as_ref() == Ok(&asked);
                match same {
                    true => prop_assert!(now.starts_with("allow"), "{:?}: {}", call, now),
                    false => prop_assert_eq!(&now, was, "{:?} after {}", call, suggestion.rule),
                }
            }
            tried.set(tried.get() + 1);
        }
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let (tried, refused) = (tried.get(), refused.get());
    println!("a rule was suggested for {tried} of {refused} refused calls");
    assert!(tried >= DENIALS, "only {tried} suggestions were tried");
}
