// SPDX-License-Identifier: GPL-3.0-or-later
//! How calls ended, and decisions as they are made.

use std::io::{BufRead as _, Write as _};

use policy_ledger::{Entry, Event};
use policyd::control::Request;

use crate::fixture::{Machine, PATIENCE, SYSTEM, call_of};

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

fn the_end(machine: &Machine) -> policy_ledger::Close {
    let Event::Close(closed) = machine.await_record(|e| matches!(e, Event::Close(_))) else {
        panic!()
    };
    closed
}

#[test]
fn a_call_of_dom0_is_recorded_with_its_stages_and_bytes() {
    let machine = machine();
    let mut call = machine.own_call("dom0 work qubes.VMShell+x y");
    machine.await_record(|e| matches!(e, Event::Decision(_)));
    let end = "record=0\nsource=dom0\npolicy_us=0\nstart_us=10\nconnect_us=20\nfirst_byte_us=30\n\
               end_us=40000\nsent=5\nreceived=6\nhow=exit code 3\n\n";
    call.write_all(end.as_bytes()).unwrap();
    drop(call);
    let closed = the_end(&machine);
    let [decision] = &machine.records()[..] else {
        panic!()
    };
    insta::assert_debug_snapshot!((decision, closed), @r#"
    (
        Decision {
            source: "dom0",
            requested_target: "work",
            service: "qubes.VMShell+x y",
            verdict: "allow",
            rule: None,
            reason: Some(
                "dom0 asks nobody",
            ),
            target: Some(
                "work",
            ),
            generation: None,
            prompt: None,
            grant: None,
            just_evaluated: false,
        },
        Close {
            call: 2,
            duration_ms: 40,
            end: "exit code 3",
            sent: Some(
                5,
            ),
            received: Some(
                6,
            ),
            stages: Some(
                Stages {
                    policy_us: 0,
                    start_us: Some(
                        10,
                    ),
                    connect_us: Some(
                        20,
                    ),
                    first_byte_us: Some(
                        30,
                    ),
                    end_us: 40000,
                },
            ),
        },
    )
    "#);
}

#[test]
fn a_program_of_dom0_that_is_killed_ends_its_own_record_and_no_other() {
    let machine = machine();
    let call = call_of(&machine.ask("work", "vault", "qubes.Gpg"));
    // A record of another's call in the place of its own, and a source that is not dom0.
    for end in [
        "".to_owned(),
        format!("record={call}\nsource=work\npolicy_us=0\nend_us=1\nhow=over\n\n"),
        "record=0\nsource=dom0\nend_us=1\n".to_owned(),
    ] {
        let mut own = machine.own_call("dom0 work ls -l");
        own.write_all(end.as_bytes()).unwrap();
    }
    let ended = || {
        let ledger = machine.ledger().into_iter();
        let ends = ledger.filter_map(|entry| match entry.event {
            Event::Close(close) => Some(close),
            _ => None,
        });
        ends.collect::<Vec<_>>()
    };
    let begin = std::time::Instant::now();
    while ended().len() < 3 {
        assert!(begin.elapsed() < PATIENCE, "{:?}", ended());
        std::thread::yield_now();
    }
    assert!(ended().iter().all(|close| close.call != call));
    assert!(
        ended()
            .iter()
            .all(|close| close.end == "its program in dom0 has gone")
    );
    assert_eq!(machine.status().under_way, 1, "the other call goes on");
}

#[test]
fn what_is_no_call_of_dom0_is_hung_up_on_and_leaves_no_record() {
    use std::io::Read as _;
    let machine = machine();
    for line in ["dom0 work", "dom0  x", "dom0 work a\u{7}b"] {
        let mut rest = Vec::new();
        machine.own_call(line).read_to_end(&mut rest).unwrap_or(0);
    }
    assert_eq!(machine.records(), []);
}
