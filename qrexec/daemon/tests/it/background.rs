// SPDX-License-Identifier: GPL-3.0-or-later
//! The daemon as it goes into the background.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::fixture::{Fixture, finish};

/// Starts a daemon that nobody makes ready; what it ends with, and what it has put into the folder for
/// files that go.
fn start(fixture: &Fixture, shared: &Path) -> (JoinHandle<Option<i32>>, PathBuf) {
    let mut start = fixture.command("qrexec-daemon", 0);
    start.args(["--uuid=c0ffee00-1234-4abc-8def-000000000001", "1", "work"]);
    start.env("TMPDIR", shared);
    start.env("QREXEC_STARTUP_TIMEOUT", "2");
    let started = thread::spawn(move || finish(&mut start, b"").code);
    let begun = Instant::now();
    loop {
        if let Some(entry) = fs::read_dir(shared).unwrap().next() {
            return (started, entry.unwrap().path());
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn what_a_daemon_needs_to_hear_of_its_readiness_is_for_nobody_else() {
    let fixture = Fixture::new();
    let shared = fixture.path().join("tmp");
    fs::create_dir(&shared).unwrap();
    let (started, place) = start(&fixture, &shared);
    let found = place.metadata().unwrap();
    assert!(found.is_dir());
    assert_eq!(found.permissions().mode() & 0o777, 0o700);
    assert_eq!(started.join().unwrap(), Some(3));
    assert_eq!(fs::read_dir(&shared).unwrap().count(), 0);
}

#[test]
fn a_daemon_that_ends_is_heard_of_although_its_folder_was_cleared_away() {
    let fixture = Fixture::new();
    let shared = fixture.path().join("tmp");
    fs::create_dir(&shared).unwrap();
    let (started, place) = start(&fixture, &shared);
    // Before there is a socket in it, or after.
    while place.exists() {
        let _ = fs::remove_dir_all(&place);
    }
    assert!(started.join().unwrap().is_some_and(|code| code != 0));
}
