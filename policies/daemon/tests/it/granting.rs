// SPDX-License-Identifier: GPL-3.0-or-later
//! Permissions with an end.

use std::fs;
use std::io::{BufRead as _, Write as _};

use policy_ledger::Event;
use policyd::control::{Answer, Request};
use policyd::{GrantRequest, GrantState};

use crate::fixture::{Machine, SYSTEM, call_of};

const POLICY: &str = "\
qubes.Gpg       *  work  vault  deny
qubes.OpenInVM  *  *     @dispvm  allow
";

fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.install("30-user.policy", POLICY);
    machine.start();
    machine.manager_answers(SYSTEM);
    machine
}

fn request(service: &str) -> GrantRequest {
    GrantRequest {
        source: "work".into(),
        target: "vault".into(),
        service: service.into(),
        seconds: Some(600),
        uses: None,
        while_running: false,
    }
}

fn grant(machine: &Machine, request: GrantRequest) -> GrantState {
    match machine.control(&Request::Grant(request)) {
        Answer::Granted(grant) => grant,
        other => panic!("{other:?}"),
    }
}

fn allowed(machine: &Machine, service: &str) -> bool {
    machine
        .ask("work", "vault", service)
        .contains("result=allow")
}

#[test]
fn a_grant_allows_exactly_what_it_names_even_against_a_rule() {
    let machine = machine();
    assert!(!allowed(&machine, "qubes.Gpg"));
    grant(&machine, request("qubes.Gpg"));
    let answer = machine.ask("work", "vault", "qubes.Gpg");
    assert!(
        answer.contains("result=allow") && answer.contains("target=vault\n"),
        "{answer}"
    );
    assert!(answer.contains("rule=grant 1:1"), "{answer}");
    assert!(!allowed(&machine, "qubes.Gpg+sign") && !allowed(&machine, "qubes.Other"));
    assert!(
        !machine
            .ask("work", "dom0", "qubes.Gpg")
            .contains("result=allow")
    );
    assert!(
        !machine
            .ask("vault", "work", "qubes.Gpg")
            .contains("result=allow")
    );
    // By whatever name the target is called.
    let uuid = "uuid:22222222-2222-4222-8222-222222222222";
    assert!(
        machine
            .ask("work", uuid, "qubes.Gpg")
            .contains("result=allow")
    );
    grant(&machine, request("qubes.Other+*"));
    assert!(allowed(&machine, "qubes.Other+a") && allowed(&machine, "qubes.Other"));
    let decision = machine.records().pop().unwrap();
    assert_eq!(decision.grant, Some(2));
    let acts = machine
        .ledger()
        .into_iter()
        .filter(|entry| matches!(&entry.event, Event::Act(act) if act.what == "grant"));
    assert_eq!(acts.count(), 2);
}

#[test]
fn a_call_that_a_rule_allows_uses_no_grant() {
    let machine = machine();
    let request = GrantRequest {
        target: "@dispvm".into(),
        uses: Some(1),
        ..request("qubes.OpenInVM")
    };
    grant(&machine, request);
    assert!(
        machine
            .ask("work", "@dispvm", "qubes.OpenInVM")
            .contains("30-user.policy:2")
    );
    let Answer::Grants(grants) = machine.control(&Request::Grants) else {
        panic!()
    };
    assert_eq!(grants[0].request.uses, Some(1));
}

#[test]
fn uses_are_counted_and_what_is_used_up_is_gone() {
    let machine = machine();
    let twice = GrantRequest {
        uses: Some(2),
        ..request("qubes.Gpg")
    };
    grant(&machine, twice);
    let asked = machine.send(
        format!(
            "just_evaluate=yes\n{}",
            String::from_utf8(crate::fixture::question("work", "vault", "qubes.Gpg")).unwrap()
        )
        .as_bytes(),
    );
    assert!(
        asked.contains("result=allow") && !asked.contains("record="),
        "{asked}"
    );
    let answers: Vec<_> = (0..5).map(|_| allowed(&machine, "qubes.Gpg")).collect();
    assert_eq!(answers, [true, true, false, false, false]);
}

#[test]
fn a_grant_ends_with_its_time_and_so_do_its_calls() {
    let machine = machine();
    let short = GrantRequest {
        seconds: Some(1),
        ..request("qubes.Gpg")
    };
    grant(&machine, short);
    let mut reporter = machine.reporter("work");
    let call = call_of(&machine.ask("work", "vault", "qubes.Gpg"));
    writeln!(reporter.get_mut(), "open {call}").unwrap();
    let mut order = String::new();
    reporter.read_line(&mut order).unwrap();
    assert_eq!(
        order,
        format!("end {call} the grant has ended: its time is up\n")
    );
    assert!(!allowed(&machine, "qubes.Gpg"));
    writeln!(reporter.get_mut(), "done {call}").unwrap();
    machine.report_end("work", call, "the grant has ended");
    let closed = machine.await_record(|event| matches!(event, Event::Close(_)));
    let Event::Close(closed) = closed else {
        panic!()
    };
    assert_eq!(
        (closed.call, closed.duration_ms, closed.sent),
        (call, 900, Some(10))
    );
    machine.await_record(|event| matches!(event, Event::Act(act) if act.what == "grant-ended"));
}

#[test]
fn a_grant_that_is_revoked_ends_its_calls_also_those_still_starting() {
    let machine = machine();
    let id = grant(&machine, request("qubes.Gpg")).id;
    let call = call_of(&machine.ask("work", "vault", "qubes.Gpg"));
    let revoked = machine.control(&Request::Revoke { id: Some(id) });
    assert_eq!(
        revoked,
        Answer::Revoked {
            answers: 0,
            grants: vec![id],
            calls: 1
        }
    );
    assert!(!allowed(&machine, "qubes.Gpg"));
    let mut reporter = machine.reporter("work");
    writeln!(reporter.get_mut(), "open {call}").unwrap();
    let mut order = String::new();
    reporter.read_line(&mut order).unwrap();
    assert_eq!(order, format!("end {call} the grant has ended\n"));
    let again = machine.control(&Request::Revoke { id: Some(id) });
    assert_eq!(
        again,
        Answer::Refused {
            message: format!("there is no grant {id}")
        }
    );
}

#[test]
fn a_grant_while_the_source_runs_ends_with_it() {
    let mut machine = machine();
    let running = GrantRequest {
        seconds: None,
        while_running: true,
        ..request("qubes.Gpg")
    };
    grant(&machine, running.clone());
    assert!(allowed(&machine, "qubes.Gpg"));
    let stopped = SYSTEM.replacen(
        "\"power_state\": \"Running\",\n             \"default",
        "\"power_state\": \"Halted\",\n             \"default",
        1,
    );
    assert_ne!(stopped, SYSTEM);
    // Another number of domains, so that the daemon says when it has heard.
    machine.manager_says(&stopped.replace(
        "\"disp-base\": {\"type\": \"AppVM\"",
        "\"x\": {\"type\": \"AppVM\"}, \"disp-base\": {\"type\": \"AppVM\"",
    ));
    machine.await_record(
        |event| matches!(event, Event::Act(act) if act.detail.contains("its source has stopped")),
    );
    assert!(!allowed(&machine, "qubes.Gpg"));
    let refused = machine.control(&Request::Grant(running));
    assert_eq!(
        refused,
        Answer::Refused {
            message: "`work` is not running".into()
        }
    );
}

#[test]
fn a_grant_while_the_source_runs_survives_the_daemon_and_not_that_run() {
    let mut machine = machine();
    let numbered = |number: u32| {
        let running = format!("\"domid\": {number}, \"default_dispvm\"");
        SYSTEM.replacen("\"default_dispvm\"", &running, 1)
    };
    machine.manager_dies();
    machine.manager_answers(&numbered(5));
    let running = GrantRequest {
        seconds: None,
        while_running: true,
        ..request("qubes.Gpg")
    };
    assert_eq!(grant(&machine, running).run, Some(5));
    for (number, holds) in [(5, true), (6, false)] {
        machine.child().kill().unwrap();
        machine.child().wait().unwrap();
        machine.start();
        machine.manager_answers(&numbered(number));
        assert_eq!(allowed(&machine, "qubes.Gpg"), holds, "{number}");
    }
    machine.await_record(
        |event| matches!(event, Event::Act(act) if act.detail.contains("its source has stopped")),
    );
}

#[test]
fn a_grant_survives_the_daemon_and_not_the_machine() {
    let mut machine = machine();
    let thrice = GrantRequest {
        uses: Some(3),
        ..request("qubes.Gpg")
    };
    grant(&machine, thrice);
    assert!(allowed(&machine, "qubes.Gpg"));
    machine.child().kill().unwrap();
    machine.child().wait().unwrap();
    machine.start();
    machine.manager_answers(SYSTEM);
    assert!(allowed(&machine, "qubes.Gpg"));
    let Answer::Grants(grants) = machine.control(&Request::Grants) else {
        panic!()
    };
    assert_eq!((grants.len(), grants[0].request.uses), (1, Some(1)));
    assert_eq!(machine.stop(), Some(0));
    // As if the machine had been started since.
    let path = machine.layout().runtime().join("policy-grants.json");
    let text = fs::read_to_string(&path).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    fs::write(&path, text.replace(boot.trim(), "another")).unwrap();
    machine.start();
    machine.manager_answers(SYSTEM);
    assert!(!allowed(&machine, "qubes.Gpg"));
}

#[test]
fn what_makes_no_grant_is_refused_with_the_reason() {
    let machine = machine();
    let good = request("qubes.Gpg");
    let refused = |request: GrantRequest| match machine.control(&Request::Grant(request)) {
        Answer::Refused { message } => message,
        other => panic!("{other:?}"),
    };
    let endless = GrantRequest {
        seconds: None,
        ..good.clone()
    };
    let words = [
        refused(endless),
        refused(GrantRequest {
            seconds: Some(0),
            ..good.clone()
        }),
        refused(GrantRequest {
            uses: Some(0),
            ..good.clone()
        }),
        refused(GrantRequest {
            source: "nobody".into(),
            ..good.clone()
        }),
        refused(GrantRequest {
            source: "*".into(),
            ..good.clone()
        }),
        refused(GrantRequest {
            target: "@anyvm".into(),
            ..good.clone()
        }),
        refused(GrantRequest {
            target: "@default".into(),
            ..good.clone()
        }),
        refused(GrantRequest {
            service: "*".into(),
            ..good.clone()
        }),
        refused(GrantRequest {
            service: "a b".into(),
            ..good
        }),
    ];
    insta::assert_snapshot!(words.join("\n"), @r"
    a grant needs an end: a time, a number of uses, or the source's stop
    a grant is for at least a second and at most a week
    a grant is for at least one use
    there is no domain `nobody`
    there is no domain `*`
    `@anyvm` is no target to grant; name a domain, dom0, @dispvm or @dispvm:NAME
    `@default` is no target to grant; name a domain, dom0, @dispvm or @dispvm:NAME
    `*` is no service; write SERVICE, SERVICE+ARGUMENT or SERVICE+*
    `a b` is no service; write SERVICE, SERVICE+ARGUMENT or SERVICE+*
    ");
}
