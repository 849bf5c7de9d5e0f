// SPDX-License-Identifier: GPL-3.0-or-later
//! What the policy daemon is told of calls that are over.

use std::collections::HashMap;
use std::io::Read as _;
use std::os::unix::net::UnixListener;
use std::sync::{Mutex, mpsc};

use crate::fixture::{Fixture, allow, finish};

/// A report as the policy daemon reads it.
type Report = HashMap<String, String>;

/// A policy that numbers what it allows, and what it is told of the ends.
fn numbering(fixture: &Fixture) -> mpsc::Receiver<Report> {
    let (told, reports) = mpsc::channel();
    let told = Mutex::new(told);
    fixture.policy(Box::new(move |lines| {
        if lines.contains_key("record") {
            told.lock().unwrap().send(lines.clone()).unwrap();
            return String::new();
        }
        let number = lines["service_and_arg"].len();
        format!("{}record={number}\n", allow(lines))
    }));
    reports
}

fn time(report: &Report, stage: &str) -> u64 {
    let text = report.get(stage);
    text.unwrap_or_else(|| panic!("{stage} is missing: {report:?}"))
        .parse()
        .unwrap()
}

#[test]
fn each_stage_of_a_call_to_dom0_is_told() {
    let fixture = Fixture::without_policy();
    let reports = numbering(&fixture);
    fixture.domain(1, "work");
    fixture.service("test.Say", "echo something; exit 3");
    let outcome = finish(&mut fixture.domain_calls(1, "dom0", "test.Say"), b"");
    assert_eq!(outcome.code, Some(3));
    let report = reports.recv().unwrap();
    let told = ["record", "source", "how"].map(|key| &report[key][..]);
    assert_eq!(told, ["8", "work", "exit code 3"]);
    let stages = [
        "policy_us",
        "start_us",
        "connect_us",
        "first_byte_us",
        "end_us",
    ];
    let times = stages.map(|stage| time(&report, stage));
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn the_end_of_a_call_between_two_domains_is_told_and_what_dom0_does_not_see_is_not() {
    let fixture = Fixture::without_policy();
    let reports = numbering(&fixture);
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Echo", "exec cat");
    let outcome = finish(&mut fixture.domain_calls(1, "personal", "test.Echo"), b"x");
    assert_eq!(outcome.code, Some(0));
    let report = reports.recv().unwrap();
    assert_eq!((&report["record"][..], &report["how"][..]), ("9", "over"));
    assert!(time(&report, "policy_us") <= time(&report, "start_us"));
    assert!(time(&report, "start_us") <= time(&report, "end_us"));
    assert!(!report.contains_key("connect_us"));
}

#[test]
fn a_call_that_was_allowed_and_could_not_be_made_is_told_with_the_reason() {
    let fixture = Fixture::without_policy();
    let reports = numbering(&fixture);
    fixture.domain(1, "work");
    let outcome = finish(&mut fixture.domain_calls(1, "halted", "test.Echo"), b"");
    assert_eq!(outcome.code, Some(126));
    let report = reports.recv().unwrap();
    let how = &report["how"];
    assert!(how.starts_with("failed: cannot start halted"), "{how}");
}

#[test]
fn a_call_of_dom0_is_told_with_its_stages_and_its_bytes() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.Echo", "cat; exit 3");
    let policy = UnixListener::bind(fixture.layout().policy_calls_socket()).unwrap();
    let call = "QUBESRPC test.Echo+a dom0";
    let outcome = finish(&mut fixture.dom0_calls("work", call), b"12345");
    assert_eq!(outcome.code, Some(3));
    let mut told = String::new();
    policy
        .accept()
        .unwrap()
        .0
        .read_to_string(&mut told)
        .unwrap();
    let (first, rest) = told.split_once('\n').unwrap();
    assert_eq!(first, "dom0 work test.Echo+a");
    let lines = rest.lines().filter_map(|line| line.split_once('='));
    let report = lines.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let report: Report = report.collect();
    let told = ["source", "sent", "received", "how"].map(|key| &report[key][..]);
    assert_eq!(told, ["dom0", "5", "5", "exit code 3"]);
    let stages = ["start_us", "connect_us", "first_byte_us", "end_us"];
    let times = stages.map(|stage| time(&report, stage));
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_policy_daemon_that_does_not_listen_keeps_dom0_from_nothing() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.Echo", "exec cat");
    // Nobody ever takes whoever stands in line, which is soon full.
    let policy = UnixListener::bind(fixture.layout().policy_calls_socket()).unwrap();
    nix::sys::socket::listen(&policy, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    for _ in 0..4 {
        let call = "QUBESRPC test.Echo dom0";
        let outcome = finish(&mut fixture.dom0_calls("work", call), b"12345");
        assert_eq!((outcome.code, outcome.text()), (Some(0), "12345"));
    }
}
