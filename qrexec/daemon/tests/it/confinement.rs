// SPDX-License-Identifier: GPL-3.0-or-later
//! The process that reads what a guest sends holds no privilege, and is one with its daemon.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fixture::{Fixture, finish, wait_ready};

/// The processes that read guests for a daemon.
fn readers(fixture: &Fixture, daemon: &str) -> Vec<i32> {
    let daemon = fixture.running()[daemon];
    let tasks = fs::read_dir(format!("/proc/{daemon}/task")).unwrap();
    let children = tasks.flat_map(|task| fs::read_to_string(task.unwrap().path().join("children")));
    let children: String = children.collect();
    let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
    let named = |pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.trim() == "qrexec-session"
    };
    children.filter(named).collect()
}

pub fn reader(fixture: &Fixture, daemon: &str) -> i32 {
    let readers = readers(fixture, daemon);
    assert_eq!(readers.len(), 1, "{readers:?}");
    readers[0]
}

/// What the kernel says of a process.
fn status(pid: i32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// Waits for the end of a process that is no child of this one.
fn await_end(pid: i32) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while PathBuf::from(format!("/proc/{pid}/stat")).exists() {
        assert!(Instant::now() < deadline, "process {pid} does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn who_reads_what_a_guest_sends_holds_no_privilege() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    let status = status(reader(&fixture, "daemon 1"));
    for (field, value) in [
        ("Seccomp", "2"),
        ("NoNewPrivs", "1"),
        ("CapInh", "0000000000000000"),
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("Threads", "1"),
    ] {
        assert_eq!(status[field], value, "{field}");
    }
    if nix::unistd::geteuid().is_root() {
        for field in ["Uid", "Gid"] {
            let ids: Vec<&str> = status[field].split_whitespace().collect();
            assert_eq!(ids, ["65534"; 4], "{field}");
        }
    }
    let log = fixture.log("daemon 1");
    let confined = log.find("confined: user: ").expect("it says so");
    let first = log.find("is there; version").unwrap();
    assert!(confined < first, "it read before it was confined: {log}");
}

#[test]
fn a_caller_in_dom0_opens_nothing_in_the_process_that_reads_the_guest() {
    let fixture = Fixture::new();
    fixture.service("test.Long", "echo started; exec cat");
    fixture.domain(1, "work");
    let reader = reader(&fixture, "daemon 1");
    let sockets = || {
        let entries = fs::read_dir(format!("/proc/{reader}/fd")).unwrap();
        let links = entries.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let links = links.map(|link| link.to_string_lossy().into_owned());
        let mut links: Vec<String> = links.collect();
        links.sort();
        links
    };
    let before = sockets();
    let mut call = fixture.dom0_calls("work", "QUBESRPC test.Long dom0");
    let mut call = crate::faults::under_way(&mut call);
    assert_eq!(sockets(), before);
    drop(call.stdin.take());
    assert_eq!(call.wait().unwrap().code(), Some(0));
    // Standard input is the line to the daemon, twice; the rest is the channel and the log.
    let outside = |link: &&String| {
        let own = ["socket:", "anon_inode:", "/memfd:", "pipe:", "/dev/null"];
        let log = fixture.path().join("daemon 1.log");
        !own.iter().any(|own| link.starts_with(own)) && link.as_str() != log.to_string_lossy()
    };
    let outside: Vec<&String> = before.iter().filter(outside).collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[test]
fn a_reader_that_dies_takes_its_calls_with_it_and_is_followed_by_another() {
    let fixture = Fixture::new();
    let ready = fixture.domain(1, "work");
    let first = reader(&fixture, "daemon 1");
    kill(Pid::from_raw(first), Signal::SIGKILL).unwrap();
    wait_ready(&ready);
    assert_ne!(reader(&fixture, "daemon 1"), first);
    let outcome = finish(&mut fixture.dom0_calls("work", "exit 3"), b"");
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(fixture.log("daemon 1").contains("its process has ended"));
}

#[test]
fn where_the_log_is_long_the_reader_writes_no_more_and_works_on() {
    let fixture = Fixture::new();
    let log = fixture.path().join("daemon 1.log");
    let long = 65 << 20;
    fs::File::create(&log).unwrap().set_len(long).unwrap();
    fixture.append_to_logs();
    let ready = fixture.domain(1, "work");
    let len = || fs::metadata(&log).unwrap().len();
    let text = || {
        let mut text = String::new();
        let mut file = fs::File::open(&log).unwrap();
        file.seek(SeekFrom::Start(long)).unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    };
    // The daemon speaks, and its reader does not.
    assert!(
        text().contains("is there; version") && !text().contains("confined: "),
        "{}",
        text()
    );
    let before = len();
    kill(Pid::from_raw(reader(&fixture, "daemon 1")), Signal::SIGKILL).unwrap();
    wait_ready(&ready);
    let outcome = finish(&mut fixture.dom0_calls("work", "exit 3"), b"");
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    assert!(len() > before && !text().contains("confined: "));
}

#[test]
fn a_reader_ends_with_its_daemon() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    let reader = reader(&fixture, "daemon 1");
    fixture.kill("daemon 1");
    await_end(reader);
}

#[test]
fn a_reader_that_is_stopped_holds_up_its_own_domain_and_nobody_else() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.True", "true");
    let stopped = reader(&fixture, "daemon 1");
    kill(Pid::from_raw(stopped), Signal::SIGSTOP).unwrap();
    for _ in 0..5 {
        let mut call = fixture.dom0_calls("work", "exit 3");
        let outcome = finish(call.args(["-w", "1"]), b"");
        assert_eq!(outcome.code, Some(125), "{}", outcome.stderr);
    }
    let outcome = finish(&mut fixture.dom0_calls("personal", "exit 3"), b"");
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    let mut from_other = fixture.domain_calls(2, "dom0", "test.True");
    assert_eq!(finish(&mut from_other, b"").code, Some(0));
    kill(Pid::from_raw(stopped), Signal::SIGCONT).unwrap();
    let outcome = finish(&mut fixture.dom0_calls("work", "exit 3"), b"");
    assert_eq!(outcome.code, Some(3), "{}", outcome.stderr);
    // Nor does it outlive its daemon.
    kill(Pid::from_raw(stopped), Signal::SIGSTOP).unwrap();
    let daemon = Pid::from_raw(fixture.running()["daemon 1"] as i32);
    kill(daemon, Signal::SIGTERM).unwrap();
    assert_eq!(fixture.end_of("daemon 1"), Some(0));
    await_end(stopped);
    let left = fs::read_dir(fixture.layout().qrexec_dir()).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    assert!(!left.contains(&"qrexec.work".to_owned()), "{left:?}");
}
