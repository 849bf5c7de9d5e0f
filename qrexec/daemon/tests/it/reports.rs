// SPDX-License-Identifier: GPL-3.0-or-later
//! What the policy daemon hears of calls, and what it can end.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use qrexec_protocol::under_way::Notice;

use crate::fixture::{Fixture, allow, finish};

pub type Ends = mpsc::Receiver<HashMap<String, String>>;

/// A machine whose policy allows everything under the number 7, and hears how it ended.
pub fn machine() -> (Arc<Fixture>, UnixListener, Ends) {
    let fixture = Fixture::without_policy();
    let (sender, ends) = mpsc::channel();
    fixture.policy(Box::new(move |asked| {
        if asked.contains_key("record") {
            let _ = sender.send(asked.clone());
            return String::new();
        }
        format!("{}record=7\n", allow(asked))
    }));
    let listener = UnixListener::bind(fixture.layout().policy_calls_socket()).unwrap();
    (fixture, listener, ends)
}

pub fn heard(listener: &UnixListener) -> BufReader<UnixStream> {
    let (stream, _) = listener.accept().unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    BufReader::new(stream)
}

pub fn next(lines: &mut BufReader<UnixStream>) -> Notice {
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    Notice::parse(line.trim_end()).unwrap()
}

/// Hears a call to its end, after the lines that say whose it is and that it runs.
pub fn done(lines: &mut BufReader<UnixStream>) {
    assert_eq!(next(lines), Notice::Source("work".parse().unwrap()));
    loop {
        match next(lines) {
            Notice::Open(7) => {}
            Notice::Done(7) => return,
            other => panic!("{other:?}"),
        }
    }
}

pub fn end(ends: &Ends) -> HashMap<String, String> {
    ends.recv_timeout(Duration::from_secs(60)).unwrap()
}

#[test]
fn a_call_into_dom0_is_reported_with_its_bytes() {
    let (fixture, listener, ends) = machine();
    fixture.domain(1, "work");
    fixture.service("test.Answer", "cat; printf more; exit 3");
    let outcome = finish(
        &mut fixture.domain_calls(1, "dom0", "test.Answer"),
        b"hello",
    );
    assert_eq!(outcome.code, Some(3));
    done(&mut heard(&listener));
    let end = end(&ends);
    assert_eq!((end["sent"].as_str(), end["received"].as_str()), ("5", "9"));
    assert_eq!(end["how"], "exit code 3");
}

#[test]
fn a_call_between_domains_is_told_of_and_so_is_one_that_came_to_nothing() {
    let (fixture, listener, ends) = machine();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.True", "true");
    let outcome = finish(&mut fixture.domain_calls(1, "personal", "test.True"), b"");
    assert_eq!(outcome.code, Some(0));
    let mut lines = heard(&listener);
    done(&mut lines);
    assert!(!end(&ends).contains_key("sent"));
    let outcome = finish(&mut fixture.domain_calls(1, "nowhere", "test.True"), b"");
    assert_eq!(outcome.code, Some(126));
    assert_eq!(next(&mut lines), Notice::Open(7));
    assert_eq!(next(&mut lines), Notice::Done(7));
    assert!(end(&ends)["how"].starts_with("failed: "));
}

#[test]
fn the_policy_daemon_ends_a_call_into_dom0() {
    let (fixture, listener, ends) = machine();
    let mut caller = forever(&fixture);
    let mut lines = heard(&listener);
    writeln!(lines.get_mut(), "end 7 the grant has ended").unwrap();
    done(&mut lines);
    assert_eq!(end(&ends)["how"], "the grant has ended");
    assert_eq!(caller.wait().unwrap().code(), Some(137));
}

#[test]
fn a_policy_daemon_that_comes_back_hears_of_what_runs_and_can_end_it() {
    let (fixture, listener, ends) = machine();
    let mut caller = forever(&fixture);
    let mut first = heard(&listener);
    assert!(matches!(next(&mut first), Notice::Source(_)));
    assert_eq!(next(&mut first), Notice::Open(7));
    drop(first);
    let mut again = heard(&listener);
    writeln!(again.get_mut(), "end 7 the grant has ended").unwrap();
    done(&mut again);
    assert_eq!(end(&ends)["how"], "the grant has ended");
    assert_eq!(caller.wait().unwrap().code(), Some(137));
}

/// A call of a service in dom0 that has begun and does not end by itself.
fn forever(fixture: &Fixture) -> std::process::Child {
    fixture.domain(1, "work");
    fixture.service("test.Forever", "echo ready; exec sleep 1000");
    let mut caller = fixture.domain_calls(1, "dom0", "test.Forever");
    let caller = caller.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut caller = caller.spawn().unwrap();
    let mut line = String::new();
    let output = caller.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    caller
}

#[test]
fn past_a_quota_the_caller_learns_that_too_much_is_under_way() {
    let fixture = Fixture::without_policy();
    fixture.policy(Box::new(|_| {
        "result=deny\nreason=quota: work may have 2 calls under way\nrefusal=quota\n".into()
    }));
    fixture.domain(1, "work");
    let outcome = finish(&mut fixture.domain_calls(1, "dom0", "test.True"), b"");
    assert_eq!(outcome.code, Some(125), "{}", outcome.stderr);
}
