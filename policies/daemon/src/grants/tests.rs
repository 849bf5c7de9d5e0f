// SPDX-License-Identifier: GPL-3.0-or-later
//! Grants held against the plainest telling of them.

use proptest::prelude::*;

use super::*;

const SYSTEM: &str = r#"{"domains": {
    "work": {"type": "AppVM", "power_state": "Running"},
    "vault": {"type": "AppVM", "power_state": "Halted"}}}"#;

#[derive(Clone, Debug)]
enum Step {
    Grant(Option<u64>, Option<u64>),
    Pass(u64),
    Ask,
    EndCalls,
    Revoke(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let time = proptest::option::of(1..200u64);
    let uses = proptest::option::of(1..4u64);
    prop_oneof![
        2 => (time, uses).prop_map(|(time, uses)| Step::Grant(time, uses)),
        4 => (0..120u64).prop_map(Step::Pass),
        6 => Just(Step::Ask),
        1 => Just(Step::EndCalls),
        1 => (1..6u64).prop_map(Step::Revoke),
        1 => Just(Step::Restart),
    ]
}

/// What a grant comes to, told in the plainest way.
#[derive(Clone)]
struct Plain {
    id: u64,
    end: Option<u64>,
    uses: Option<u64>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]
    #[test]
    fn nothing_is_allowed_after_the_end_and_everything_before(
        start in 0..u64::MAX / 4,
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let system: System = serde_json::from_str(SYSTEM).unwrap();
        let question = Question {
            source: "work".into(),
            intended_target: "vault".into(),
            service_and_arg: "qubes.Gpg".into(),
            requested_source: String::new(),
            assume_yes_for_ask: false,
            just_evaluate: false,
        };
        let system = Some(Arc::new(system));
        let mut grants = Grants::default();
        grants.set_system(system.clone(), Runs::default());
        let mut plain: Vec<Plain> = Vec::new();
        let (mut now, mut calls) = (start / 1000, 0);
        for step in steps {
            let clock = Duration::from_secs(now);
            match step {
                Step::Grant(seconds, uses) => {
                    let request = GrantRequest {
                        source: "work".into(),
                        target: "vault".into(),
                        service: "qubes.Gpg".into(),
                        seconds,
                        uses,
                        while_running: false,
                    };
                    let given = grants.add(request, "root", String::new(), clock);
                    prop_assert_eq!(given.is_ok(), seconds.is_some() || uses.is_some());
                    if let Ok(given) = given {
                        let end = seconds.map(|seconds| now + seconds);
                        plain.push(Plain { id: given.id, end, uses });
                    }
                }
                Step::Pass(seconds) => now += seconds,
                Step::Ask => {
                    let expected = plain.iter_mut().find(|grant| {
                        grant.uses != Some(0) && grant.end.is_none_or(|end| now < end)
                    });
                    let found = grants.covering(&question, clock);
                    let found = found.map(|(id, _)| id);
                    prop_assert_eq!(found, expected.as_ref().map(|grant| grant.id));
                    if let (Some(id), Some(grant)) = (found, expected) {
                        calls += 1;
                        grants.take_use(id);
                        grants.begin(id, calls);
                        grant.uses = grant.uses.map(|uses| uses - 1);
                    }
                }
                Step::EndCalls => {
                    for call in 1..=calls {
                        if let Some(id) = grants.of_call(call) {
                            grants.end_call(id, call);
                        }
                    }
                }
                Step::Revoke(id) => {
                    grants.revoke(Some(id));
                    plain.retain(|grant| grant.id != id);
                }
                Step::Restart => {
                    let states = grants.states(Duration::ZERO);
                    grants = Grants::restored(grants.last, states);
                    grants.set_system(system.clone(), Runs::default());
                }
            }
            // Whether it is looked at or not changes nothing for whoever asks.
            if now % 2 == 0 {
                for ended in grants.expire(Duration::from_secs(now)) {
                    let grant = plain.iter().find(|plain| plain.id == ended.grant.id);
                    let over = grant.is_none_or(|grant| {
                        grant.uses == Some(0) || grant.end.is_some_and(|end| now >= end)
                    });
                    prop_assert!(over, "{:?}", ended);
                }
            }
        }
    }
}

/// Of a domain that stops and starts at once nobody need hear that it was stopped.
#[test]
fn a_grant_for_a_run_of_its_source_is_none_for_the_next() {
    let document = |domid: u32| {
        SYSTEM.replacen(
            "\"Running\"",
            &format!("\"Running\", \"domid\": {domid}"),
            1,
        )
    };
    let mut grants = Grants::default();
    let take = |grants: &mut Grants, domid| {
        let document = document(domid);
        let system = serde_json::from_str(&document).unwrap();
        grants.set_system(
            Some(Arc::new(system)),
            Runs::read(document.as_bytes()).unwrap(),
        );
    };
    take(&mut grants, 3);
    let request = GrantRequest {
        source: "work".into(),
        target: "vault".into(),
        service: "qubes.Gpg".into(),
        seconds: None,
        uses: None,
        while_running: true,
    };
    grants
        .add(request, "root", String::new(), Duration::ZERO)
        .unwrap();
    let question = Question {
        source: "work".into(),
        intended_target: "vault".into(),
        service_and_arg: "qubes.Gpg".into(),
        requested_source: String::new(),
        assume_yes_for_ask: false,
        just_evaluate: false,
    };
    take(&mut grants, 3);
    assert!(grants.covering(&question, Duration::ZERO).is_some());
    take(&mut grants, 4);
    assert!(grants.covering(&question, Duration::ZERO).is_none());
    let ended: Vec<_> = grants
        .expire(Duration::ZERO)
        .into_iter()
        .map(|ended| ended.why)
        .collect();
    assert_eq!(ended, ["its source has stopped"]);
}
