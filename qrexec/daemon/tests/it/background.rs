// SPDX-License-Identifier: GPL-3.0-or-later
//! The daemon as it goes into the background.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use crate::fixture::{Fixture, finish};

#[test]
fn what_a_daemon_needs_to_hear_of_its_readiness_is_for_nobody_else() {
    let fixture = Fixture::new();
    let shared = fixture.path().join("tmp");
    fs::create_dir(&shared).unwrap();
    let mut start = fixture.command("qrexec-daemon", 0);
    start.args(["--uuid=c0ffee00-1234-4abc-8def-000000000001", "1", "work"]);
    start.env("TMPDIR", &shared);
    // Nobody is there to make it ready.
    start.env("QREXEC_STARTUP_TIMEOUT", "2");
    let started = std::thread::spawn(move || finish(&mut start, b"").code);
    let begun = Instant::now();
    let found = loop {
        if let Some(entry) = fs::read_dir(&shared).unwrap().next() {
            break entry.unwrap().metadata().unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
    };
    assert!(found.is_dir());
    assert_eq!(found.permissions().mode() & 0o777, 0o700);
    assert_eq!(started.join().unwrap(), Some(3));
    assert_eq!(fs::read_dir(shared).unwrap().count(), 0);
}
