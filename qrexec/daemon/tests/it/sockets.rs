// SPDX-License-Identifier: GPL-3.0-or-later
//! The same programs over plain sockets, where those of others can take part.

use std::fs;

use crate::fixture::{Fixture, finish};

const TELL: &str = r#"read line; echo "$1 of $QREXEC_REMOTE_DOMAIN: $line"; exit 7"#;

#[test]
fn calls_go_both_ways_and_between_domains() {
    let fixture = Fixture::over_sockets();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Tell", TELL);
    for (mut call, told) in [
        (
            fixture.dom0_calls("work", "QUBESRPC test.Tell+a dom0"),
            "a of dom0: hello\n",
        ),
        (
            fixture.domain_calls(1, "dom0", "test.Tell+b"),
            "b of work: hello\n",
        ),
        (
            fixture.domain_calls(1, "personal", "test.Tell+c"),
            "c of work: hello\n",
        ),
        (
            fixture.domain_calls(2, "work", "test.Tell+d"),
            "d of personal: hello\n",
        ),
    ] {
        let outcome = finish(&mut call, b"hello\n");
        assert_eq!((outcome.code, outcome.text()), (Some(7), told));
    }
}

#[test]
fn megabytes_pass_and_ports_come_back() {
    let fixture = Fixture::over_sockets();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Cat", "exec cat");
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i / 7 % 251) as u8).collect();
    for mut call in [
        fixture.dom0_calls("work", "QUBESRPC test.Cat dom0"),
        fixture.domain_calls(1, "dom0", "test.Cat"),
        fixture.domain_calls(1, "personal", "test.Cat"),
    ] {
        let outcome = finish(&mut call, &data);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(outcome.stdout == data, "{} bytes", outcome.stdout.len());
    }
    // The sockets of calls that are over are gone; what is left are the two agents' own.
    let left = fs::read_dir(fixture.layout().local_vchan_dir()).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.len() <= 2, "{left:?}");
}

#[test]
fn the_log_says_that_nobody_is_confined() {
    let fixture = Fixture::over_sockets();
    fixture.domain(1, "work");
    let log = fixture.log("daemon 1");
    let told = "not confined: plain sockets are for trials and isolate nothing";
    let told = log.find(told).expect("it says so");
    assert!(told < log.find("is there; version").unwrap(), "{log}");
}
