// SPDX-License-Identifier: GPL-3.0-or-later
//! How calls ended, and decisions as they are made.

use std::io::{BufRead as _, Write as _};

use policy_ledger::{Entry, Event};
use policyd::control::Request;

use crate::fixture::{Machine, SYSTEM, call_of};

fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.install("30-user.policy", "qubes.Gpg * * vault allow\n");
    machine.start();
    machine.manager_answers(SYSTEM);
    machine
}

#[test]
fn the_end_of_a_call_is_recorded_as_it_was_reported() {
    let machine = machine();
    let mut reporter = machine.reporter("work");
    let call = call_of(&machine.ask("work", "vault", "qubes.Gpg"));
    assert_eq!(machine.status().under_way, 1);
    write!(reporter.get_mut(), "open {call}\ndone {call}\n").unwrap();
    machine.report_end("vault", call, "nobody asked vault");
    machine.report_end("work", call, "the caller has ended it");
    machine.report_end("work", call, "and once more");
    let Event::Close(closed) = machine.await_record(|e| matches!(e, Event::Close(_))) else {
        panic!()
    };
    insta::assert_debug_snapshot!(closed, @r#"
    Close {
        call: 2,
        duration_ms: 900,
        end: "the caller has ended it",
        sent: Some(
            10,
        ),
        received: None,
        stages: Some(
            Stages {
                policy_us: 50,
                start_us: None,
                connect_us: None,
                first_byte_us: None,
                end_us: 900000,
            },
        ),
    }
    "#);
    let begin = std::time::Instant::now();
    while machine.status().under_way > 0 {
        assert!(begin.elapsed().as_secs() < 30);
    }
    let ends = machine.ledger().into_iter();
    let ends = ends.filter(|entry| matches!(entry.event, Event::Close(_)));
    assert_eq!(
        ends.count(),
        1,
        "a call has one end, and its own domain tells it"
    );
}

#[test]
fn nobody_reports_the_end_of_anothers_call_and_who_goes_is_missed() {
    let machine = machine();
    let call = call_of(&machine.ask("work", "vault", "qubes.Gpg"));
    let mut liar = machine.reporter("vault");
    writeln!(liar.get_mut(), "done {call}").unwrap();
    let mut reporter = machine.reporter("work");
    writeln!(reporter.get_mut(), "open {call}").unwrap();
    let mut noise = machine.reporter("work");
    writeln!(noise.get_mut(), "open {call} now").unwrap();
    let mut rest = String::new();
    noise.read_line(&mut rest).unwrap();
    assert_eq!(rest, "", "who talks nonsense is hung up on");
    drop(reporter);
    let Event::Close(closed) = machine.await_record(|e| matches!(e, Event::Close(_))) else {
        panic!()
    };
    assert_eq!(closed.end, "the qrexec daemon of its source has gone");
}

#[test]
fn a_trace_tells_of_each_decision_as_it_is_made() {
    let machine = machine();
    let mut trace = machine.control_line(&Request::Trace);
    let mut line = String::new();
    trace.read_line(&mut line).unwrap();
    assert_eq!(line, "\"done\"\n");
    for service in ["qubes.Gpg", "qubes.Other"] {
        machine.ask("work", "vault", service);
        line.clear();
        trace.read_line(&mut line).unwrap();
        let entry: Entry = serde_json::from_str(&line).unwrap();
        assert!(matches!(entry.event, Event::Decision(decision) if decision.service == service));
    }
}
