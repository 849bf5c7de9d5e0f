// SPDX-License-Identifier: GPL-3.0-or-later
//! Programs of a guest that connect to its agent and do not say what they ask for.

use std::io::Read as _;
use std::os::unix::net::UnixStream;

use crate::fixture::{Fixture, finish};

#[test]
fn more_silent_programs_than_an_agent_lets_in_keep_nobody_from_calling() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.True", "true");
    let connect = || UnixStream::connect(fixture.agent_socket(1)).unwrap();
    let mut silent = Vec::new();
    // An agent may have 2048 of them. Nobody can have more than this test may have descriptors.
    qrexec_relay::allow_many_descriptors().unwrap();
    silent.extend((0..2100).map(|_| connect()));
    let outcome = finish(&mut fixture.domain_calls(1, "dom0", "test.True"), b"");
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}

#[test]
fn a_silent_program_is_hung_up_on_and_one_whose_call_runs_is_not() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.Long", "echo started; cat");
    let mut call = crate::faults::under_way(&mut fixture.domain_calls(1, "dom0", "test.Long"));
    let mut silent = UnixStream::connect(fixture.agent_socket(1)).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
    assert!(call.try_wait().unwrap().is_none());
    drop(call.stdin.take());
    assert_eq!(call.wait().unwrap().code(), Some(0));
}
