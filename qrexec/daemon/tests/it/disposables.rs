// SPDX-License-Identifier: GPL-3.0-or-later
//! Targets that are started for a call.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::{Arc, mpsc};

use bulkhead_admin::{Reply, Request};

use crate::fixture::{Fixture, finish, no_such_domain};

/// Lets the manager start domain 9 as `name` when asked, and says what it was asked.
fn manager(fixture: &Arc<Fixture>, name: &'static str) -> mpsc::Receiver<String> {
    let (sender, asked) = mpsc::channel();
    let weak = Arc::downgrade(fixture);
    fixture.manager(Box::new(move |request: &Request| {
        let Some(fixture) = weak.upgrade() else {
            return no_such_domain();
        };
        let text = format!(
            "{} {} {}",
            request.method, request.source, request.destination
        );
        let reply = match request.method.name().as_str() {
            "admin.vm.CreateDisposable" => Reply::Ok(name.into()),
            "admin.vm.Start" => {
                fixture.domain(9, name);
                Reply::Ok(vec![])
            }
            "admin.vm.Kill" => {
                fixture.kill("agent 9");
                fixture.kill("daemon 9");
                Reply::Ok(vec![])
            }
            _ => no_such_domain(),
        };
        let _ = sender.send(text);
        reply
    }));
    asked
}

#[test]
fn a_disposable_is_made_used_and_destroyed_and_the_answer_arrives() {
    let fixture = Fixture::new();
    let asked = manager(&fixture, "disp1234");
    fixture.domain(1, "untrusted");
    fixture.service("test.Answer", "cat; exit 6");
    let data = vec![b'x'; 300_000];
    let outcome = finish(
        &mut fixture.domain_calls(1, "@dispvm:disp-base", "test.Answer"),
        &data,
    );
    assert_eq!(outcome.code, Some(6), "{}", outcome.stderr);
    assert!(outcome.stdout == data);
    let calls: Vec<String> = asked.iter().take(3).collect();
    assert_eq!(
        calls,
        [
            "admin.vm.CreateDisposable untrusted disp-base",
            "admin.vm.Start dom0 disp1234",
            "admin.vm.Kill dom0 disp1234",
        ]
    );
}

#[test]
fn a_disposable_is_destroyed_when_its_caller_dies() {
    for killed in ["caller", "agent 1"] {
        let fixture = Fixture::new();
        let asked = manager(&fixture, "disp1234");
        fixture.domain(1, "untrusted");
        fixture.service(
            "test.Endless",
            "trap '' PIPE; echo started; exec sleep 1000",
        );
        let mut command = fixture.domain_calls(1, "@dispvm:disp-base", "test.Endless");
        let mut call = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(call.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "started\n");
        if killed == "caller" {
            call.kill().unwrap();
        } else {
            fixture.kill(killed);
        }
        let calls: Vec<String> = asked.iter().take(3).collect();
        assert_eq!(calls[2], "admin.vm.Kill dom0 disp1234", "{killed}");
        let _ = call.kill();
        call.wait().unwrap();
    }
}

#[test]
fn a_disposable_that_does_not_start_is_removed_and_the_call_refused() {
    let fixture = Fixture::new();
    let (sender, asked) = mpsc::channel();
    fixture.manager(Box::new(move |request: &Request| {
        let _ = sender.send(request.method.to_string());
        match request.method.name().as_str() {
            "admin.vm.CreateDisposable" => Reply::Ok(b"disp1".to_vec()),
            "admin.vm.Kill" => Reply::Ok(vec![]),
            _ => no_such_domain(),
        }
    }));
    fixture.domain(1, "untrusted");
    let outcome = finish(
        &mut fixture.domain_calls(1, "@dispvm:disp-base", "test.True"),
        b"",
    );
    assert_eq!(outcome.code, Some(126));
    let calls: Vec<String> = asked.iter().take(3).collect();
    assert_eq!(
        calls,
        [
            "admin.vm.CreateDisposable",
            "admin.vm.Start",
            "admin.vm.Kill"
        ]
    );
}

#[test]
fn a_halted_target_is_started_when_policy_says_so() {
    let fixture = Fixture::new();
    let asked = manager(&fixture, "sleepy");
    fixture.domain(1, "work");
    fixture.service("test.True", "true");
    assert_eq!(
        finish(&mut fixture.domain_calls(1, "sleepy", "test.True"), b"").code,
        Some(0)
    );
    assert_eq!(
        finish(&mut fixture.domain_calls(1, "sleepy", "test.True"), b"").code,
        Some(0)
    );
    assert_eq!(
        asked.try_iter().collect::<Vec<_>>(),
        ["admin.vm.Start dom0 sleepy"]
    );
}
