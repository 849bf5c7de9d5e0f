// SPDX-License-Identifier: GPL-3.0-or-later
//! Programs that speak on the socket that is their input.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::Stdio;

use crate::fixture::{Fixture, finish};

#[test]
fn a_service_may_use_its_input_socket_for_output() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service(
        "test.Socket",
        "kill -USR1 $QREXEC_AGENT_PID; echo hello >&0; read x; echo \"got $x\" >&0",
    );
    let outcome = finish(
        &mut fixture.dom0_calls("work", "QUBESRPC test.Socket dom0"),
        b"this\n",
    );
    assert_eq!(
        (outcome.code, outcome.text()),
        (Some(0), "hello\ngot this\n")
    );
    // Its output ends long before it has said anything.
    fixture.service(
        "test.Replaced",
        "kill -USR1 $QREXEC_AGENT_PID; exec >&0; read x; sleep 0.2; echo \"got $x\"; exit 7",
    );
    let outcome = finish(
        &mut fixture.dom0_calls("work", "QUBESRPC test.Replaced dom0"),
        b"this\n",
    );
    assert_eq!((outcome.code, outcome.text()), (Some(7), "got this\n"));
}

#[test]
fn no_program_at_either_end_of_a_call_has_a_signal_blocked() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.Mask", "");
    // Some shells unblock all signals when they begin.
    let script = "#!/bin/bash\ngrep SigBlk: /proc/self/status\n";
    std::fs::write(fixture.path().join("services/test.Mask"), script).unwrap();
    let none = "SigBlk:\t0000000000000000\n";
    let in_work = || fixture.dom0_calls("work", "QUBESRPC test.Mask dom0");
    let in_dom0 = || fixture.domain_calls(1, "dom0", "test.Mask");
    for mut call in [in_work(), in_dom0()] {
        assert_eq!(finish(&mut call, b"").text(), none);
    }
    // Started by the session itself, which needs the signal.
    fixture.start_session(1, "session");
    assert_eq!(finish(&mut in_work(), b"").text(), none);
    let program = "grep -q SigBlk:.0000000000000000 /proc/self/status && exit 5";
    let mut call = in_dom0();
    call.args(["/bin/bash", "-c", program]);
    assert_eq!(finish(&mut call, b"").code, Some(5));
}

#[test]
fn services_that_have_closed_their_output_are_heard_on_their_input_as_they_signalled() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service(
        "test.Closed",
        "kill -USR1 $QREXEC_AGENT_PID; echo \"$1\"; exec >&-; read x; echo \"got $x\" >&0; exit 7",
    );
    // This one does not signal: the end of its output is the end, whatever others do.
    fixture.service("test.Ended", "echo \"$1\"; exec >&-; read x; exit 5");
    let begin = |service: &str| {
        let mut child = fixture
            .dom0_calls("work", &format!("QUBESRPC {service} dom0"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // All are relayed by one agent; the kernel keeps one signal at a time.
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(Some(line.trim_end()), service.split('+').nth(1));
        (child, output)
    };
    let mut closed =
        ["a", "b", "d", "e", "f", "g"].map(|call| begin(&format!("test.Closed+{call}")));
    let (mut ended, mut output) = begin("test.Ended+c");
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
    for (child, output) in &mut closed {
        let mut input = child.stdin.take().unwrap();
        input.write_all(b"this\n").unwrap();
        output.read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(7));
    }
    assert_eq!(text, "got this\n".repeat(closed.len()));
    ended.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(ended.wait().unwrap().code(), Some(5));
}

#[test]
fn a_callers_program_may_use_its_input_socket_for_output() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Cat", "cat");
    let mut command = fixture.domain_calls(1, "personal", "test.Cat");
    let program = "kill -USR1 $QREXEC_AGENT_PID; exec >&-; sleep 0.2; echo hello >&0; read x; test \"$x\" = hello && exit 5";
    command.args(["/bin/sh", "-c", program]);
    assert_eq!(finish(&mut command, b"").code, Some(5));
}
