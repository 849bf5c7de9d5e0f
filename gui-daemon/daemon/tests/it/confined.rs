// SPDX-License-Identifier: GPL-3.0-or-later
//! The process that reads what a guest sends holds no privilege, and goes with its launcher.

use std::collections::BTreeMap;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::dom0::Dom0;
use crate::guest::Guest;
use crate::xserver::Program;

const BLUE: u32 = 0x34_65_a4;
const IDLE: &str = "echo ready; read line";

/// What the kernel says of a process; `None` when there is none.
fn status(pid: Pid) -> Option<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    Some(
        fields
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
    )
}

/// A terminal is shown, by one session.
fn scene() -> (Dom0, Program, Guest, Program, Pid) {
    let dom0 = Dom0::start();
    let daemon = dom0.daemon(5, "work", "blue");
    let guest = Guest::start(&dom0, 5);
    dom0.wait_until_ready();
    let terminal = guest.terminal("notes", IDLE);
    let shown = dom0.wait_for_title("[work] notes");
    dom0.wait_for_content(shown.xid, BLUE);
    let sessions = daemon.children();
    assert_eq!(sessions.len(), 1);
    (dom0, daemon, guest, terminal, sessions[0])
}

#[test]
fn a_session_that_shows_windows_holds_no_privilege() {
    let (dom0, _daemon, _guest, _terminal, session) = scene();
    let status = status(session).unwrap();
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
        assert_eq!(status["CapBnd"], "0000000000000000");
        for field in ["Uid", "Gid"] {
            let ids: Vec<&str> = status[field].split_whitespace().collect();
            assert_eq!(ids, ["65534"; 4], "{field}");
        }
        assert_eq!(status["Groups"], "");
    }
    let log = dom0.log("work");
    assert!(log.contains("confined: user: "), "{log}");
    let confined = log.find("confined: ").unwrap();
    let first = log.find("the agent is connected").unwrap();
    assert!(confined < first, "it read before it was confined: {log}");
}

#[test]
fn a_session_holds_nothing_open_but_its_line_the_display_the_guest_and_its_memory() {
    let (_dom0, _daemon, _guest, _terminal, session) = scene();
    let targets = |process: &str| -> Vec<_> {
        let entries = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
        // This process closes some while they are read.
        entries
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .collect()
    };
    // What was open when the tests were started is open in all their processes.
    let inherited: Vec<_> = targets("self")
        .into_iter()
        .filter(|target| target.is_absolute())
        .collect();
    for target in targets(&session.to_string()) {
        if inherited.contains(&target) {
            continue;
        }
        let target = target.to_string_lossy();
        let known = ["socket:", "anon_inode:[eventpoll]", "/memfd:", "/dev/null"];
        let is_known = known.iter().any(|known| target.starts_with(known));
        let is_pages = target.contains("/vchan/pages.5.0.");
        let is_output = target.ends_with("work.log") || target.starts_with("pipe:");
        assert!(is_known || is_pages || is_output, "{target} is open");
    }
}

#[test]
fn a_session_that_dies_is_followed_by_another_and_none_outlives_its_launcher() {
    let (dom0, daemon, _guest, _terminal, session) = scene();
    kill(session, Signal::SIGKILL).unwrap();
    dom0.wait_until_ready();
    let shown = dom0.wait_for_title("[work] notes");
    dom0.wait_for_content(shown.xid, BLUE);
    let next = daemon.children()[0];
    assert_ne!(next, session);
    daemon.signal(Signal::SIGKILL);
    dom0.wait_for("its windows to go", |dom0| {
        dom0.shown().is_empty().then_some(())
    });
    while status(next).is_some_and(|status| !status["State"].starts_with('Z')) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
