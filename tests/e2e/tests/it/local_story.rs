// SPDX-License-Identifier: GPL-3.0-or-later
//! The story from beginning to end, and nothing left behind.

use e2e::{LocalMachine, play};
use testkit::{Fixture, FixtureOptions};

#[test]
fn a_suspicious_file_opens_in_a_disposable_framed_in_its_colour() {
    let fixture = Fixture::start(&FixtureOptions::default()).unwrap();
    let mut machine = LocalMachine::new(fixture);
    let transcript = play(&mut machine, &mut |step| print!("{step}"));
    println!("{transcript}");
    assert!(
        transcript.passed(),
        "{transcript}\n{}",
        machine.fixture.logs()
    );

    let fixture = machine.fixture;
    fixture
        .ok(&["bulkhead", "stop", "work", "untrusted", "personal"])
        .unwrap();
    let leftovers = fixture.leftovers();
    assert!(leftovers.is_empty(), "{leftovers}");
    fixture.verify().unwrap();
}
