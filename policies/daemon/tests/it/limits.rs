// SPDX-License-Identifier: GPL-3.0-or-later
//! Quotas.

use std::fs;
use std::io::Write as _;

use policy_ledger::Event;
use policyd::control::{Answer, Request};
use policyd::{Quota, QuotaFile};

use crate::fixture::{Machine, SYSTEM, call_of};

const POLICY: &str = "\
qubes.OpenInVM  *  *  @dispvm  allow
qubes.Gpg       *  *  vault    allow
";

fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.install("30-user.policy", POLICY);
    machine.start();
    machine.manager_answers(&SYSTEM.replace(
        "\"vault\": {\"type\": \"AppVM\"",
        "\"other\": {\"type\": \"AppVM\", \"default_dispvm\": \"disp-base\"}, \"vault\": {\"type\": \"AppVM\"",
    ));
    machine
}

#[test]
fn a_flood_of_disposables_is_stopped_and_a_neighbour_does_not_notice() {
    let machine = machine();
    let ask = |source: &str| machine.ask(source, "@dispvm", "qubes.OpenInVM");
    let allowed = (0..100)
        .filter(|_| ask("work").contains("result=allow"))
        .count();
    assert_eq!(allowed, 20, "so many may be under way");
    insta::assert_snapshot!(ask("work"), @r"
    result=deny
    reason=quota: work may have 20 calls to new disposables under way
    refusal=quota
    ");
    assert!(ask("other").contains("result=allow"));
    // Refusals of a flood are counted, not written down one by one.
    machine.await_record(|event| matches!(event, Event::Flood { source, .. } if source == "work"));
    let refused = machine
        .records()
        .into_iter()
        .filter(|d| d.verdict == "deny")
        .count();
    assert!(refused < 50, "{refused}");
}

#[test]
fn a_change_of_quotas_is_recorded_with_who_made_it_and_what_was_before() {
    let machine = machine();
    let path = QuotaFile::path(&machine.layout());
    let quota = |at_once| Quota {
        source: "work".into(),
        service: "qubes.Gpg".into(),
        disposables: false,
        per_minute: None,
        burst: None,
        at_once: Some(at_once),
    };
    for quotas in [vec![quota(3)], vec![quota(2)], vec![]] {
        QuotaFile { quotas }.save(&path).unwrap();
        assert_eq!(machine.control(&Request::Reload), Answer::Done);
    }
    let acts = machine
        .ledger()
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::Act(act) if act.what == "quota" => Some(act),
            _ => None,
        });
    let own = nix::unistd::User::from_uid(nix::unistd::Uid::current());
    let own = own.unwrap().unwrap().name;
    let told: Vec<String> = acts
        .inspect(|act| assert_eq!(act.by, own))
        .map(|act| act.detail)
        .collect();
    assert_eq!(
        told,
        [
            "work qubes.Gpg: 3 under way",
            "work qubes.Gpg: 2 under way; before: 3 under way",
            "work qubes.Gpg: removed; before: 2 under way",
        ]
    );
}

#[test]
fn a_call_that_has_ended_makes_room_for_another() {
    let machine = machine();
    let quota = Quota {
        source: "work".into(),
        service: "qubes.Gpg".into(),
        disposables: false,
        per_minute: None,
        burst: None,
        at_once: Some(2),
    };
    let file = QuotaFile {
        quotas: vec![quota],
    };
    file.save(&QuotaFile::path(&machine.layout())).unwrap();
    assert_eq!(machine.control(&Request::Reload), Answer::Done);
    let ask = || machine.ask("work", "vault", "qubes.Gpg+sign");
    let mut reporter = machine.reporter("work");
    let first = call_of(&ask());
    let _second = call_of(&ask());
    insta::assert_snapshot!(ask(), @r"
    result=deny
    reason=quota: work may have 2 calls of qubes.Gpg under way
    refusal=quota
    ");
    assert!(
        machine
            .ask("other", "vault", "qubes.Gpg")
            .contains("result=allow")
    );
    write!(reporter.get_mut(), "open {first}\ndone {first}\n").unwrap();
    let begin = std::time::Instant::now();
    while machine.status().under_way > 2 {
        assert!(begin.elapsed().as_secs() < 30);
    }
    assert!(ask().contains("result=allow"));
    assert!(ask().contains("result=deny"));
    let Answer::Quotas { quotas, usage } = machine.control(&Request::Quotas) else {
        panic!()
    };
    assert_eq!(quotas.len(), 3);
    let own = usage.iter().find(|usage| usage.source == "work").unwrap();
    assert_eq!((own.under_way, own.refused), (2, 2));
}

#[test]
fn quotas_that_make_no_sense_are_told_and_the_last_good_ones_stay() {
    let machine = machine();
    let path = QuotaFile::path(&machine.layout());
    fs::write(
        path,
        "[[quota]]\nsource = \"work\"\nservice = \"a+b\"\nat_once = 1\n",
    )
    .unwrap();
    machine.control(&Request::Reload);
    let error = machine.status().settings_error.unwrap();
    insta::assert_snapshot!(machine.without_root(&error), @"`ROOT/etc/bulkhead/quotas.toml` cannot be used: quota `work a+b`: `a+b` is no service without an argument, and not *");
}
