// SPDX-License-Identifier: GPL-3.0-or-later
//! What happens when files change, fellow daemons go away, or the disk is full.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::fixture::{Machine, PATIENCE, SYSTEM};

const ALLOW: &str = "qubes.OpenInVM * * @dispvm allow\n";

fn allowed(machine: &Machine) -> bool {
    machine
        .ask("work", "@dispvm", "qubes.OpenInVM")
        .contains("result=allow")
}

#[test]
fn without_a_policy_everything_is_refused() {
    let mut machine = Machine::new();
    machine.install("30-user.policy", "qubes.OpenInVM * * @dispvm alow\n");
    machine.start();
    machine.manager_answers(SYSTEM);
    let answer = machine.ask("work", "@dispvm", "qubes.OpenInVM");
    assert!(
        answer.contains("reason=there is no policy without errors"),
        "{answer}"
    );
    assert_eq!(machine.status().policy.rules, None);
    machine.install("30-user.policy", ALLOW);
    machine.await_notification("STATUS=1 rules");
    assert!(allowed(&machine));
}

#[test]
fn a_service_manager_that_does_not_read_holds_up_no_answer() {
    let mut machine = Machine::new();
    machine.start();
    machine.manager_answers(SYSTEM);
    let asked = |machine: &Machine| {
        let answer = machine.ask("work", "vault", "qubes.Gpg");
        answer.contains("result=allow")
    };
    // Far more is said to it than its socket and the daemon hold for it.
    for round in 0..100 {
        let allowing = round % 2 == 0;
        machine.install(
            "30-user.policy",
            if allowing {
                "qubes.Gpg * work vault allow\n"
            } else {
                ""
            },
        );
        let begin = Instant::now();
        while asked(&machine) != allowing {
            assert!(begin.elapsed() < PATIENCE, "round {round}");
            sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_missing_policy_directory_refuses_everything_until_it_is_there() {
    let mut machine = Machine::new();
    fs::remove_dir(&machine.layout().policy_dirs()[1]).unwrap();
    machine.start();
    machine.manager_answers(SYSTEM);
    assert!(!allowed(&machine));
    let error = machine.status().policy.error.unwrap();
    insta::assert_snapshot!(machine.without_root(&error), @r"
    error: cannot read `ROOT/etc/bulkhead/policy.d`: no such file or directory
     |
     = help: create the directory; an empty one denies every call
    ");
    fs::create_dir(&machine.layout().policy_dirs()[1]).unwrap();
    machine.await_notification("STATUS=0 rules");
    machine.install("30-user.policy", ALLOW);
    machine.await_notification("STATUS=1 rules");
    assert!(allowed(&machine));
}

#[test]
fn a_policy_with_an_error_never_goes_live_and_is_shown() {
    let mut machine = Machine::new();
    machine.install("30-user.policy", ALLOW);
    machine.start();
    machine.manager_answers(SYSTEM);
    machine.install("30-user.policy", "qubes.OpenInVM * * @dipsvm deny\n");
    machine.await_notification("1 older rules, the files have errors");
    assert!(allowed(&machine));
    let error = machine.status().policy.error.unwrap();
    insta::assert_snapshot!(machine.without_root(&error), @r"
    error: there is no keyword `@dipsvm`
     --> ROOT/etc/bulkhead/policy.d/30-user.policy:1:20
      |
    1 | qubes.OpenInVM * * @dipsvm deny
      |                    ^^^^^^^ unknown keyword
      |
      = note: keywords here are `@adminvm`, `@anyvm`, `@default`, `@dispvm`, `@dispvm:`, `@tag:`, `@type:`
      = help: did you mean `@dispvm`?
    ");
    assert!(machine.logged().contains("the last good policy stays live"));
    machine.install("30-user.policy", "qubes.OpenInVM * * @dispvm deny\n");
    machine.await_notification("STATUS=1 rules;");
    assert!(!allowed(&machine));
}

#[test]
fn a_file_that_is_included_is_watched_too() {
    let mut machine = Machine::new();
    let include = machine.policy_file("include");
    fs::create_dir(&include).unwrap();
    fs::write(include.join("more"), ALLOW).unwrap();
    machine.install("30-user.policy", "!include include/more\n");
    machine.start();
    machine.manager_answers(SYSTEM);
    assert!(allowed(&machine));
    fs::write(include.join("more"), "# nothing\n").unwrap();
    machine.await_notification("STATUS=0 rules");
    assert!(!allowed(&machine));
}

#[test]
fn a_file_in_the_runtime_directory_replaces_its_namesake() {
    let mut machine = Machine::new();
    machine.install("30-user.policy", ALLOW);
    machine.start();
    machine.manager_answers(SYSTEM);
    let runtime = &machine.layout().policy_dirs()[0];
    fs::create_dir(runtime).unwrap();
    symlink("/dev/null", runtime.join("40-x.policy")).unwrap();
    machine.await_notification("have errors");
    assert!(
        allowed(&machine),
        "not a regular file: the whole change is rejected"
    );
    fs::remove_file(runtime.join("40-x.policy")).unwrap();
    fs::write(runtime.join("30-user.policy"), "").unwrap();
    machine.await_notification("STATUS=0 rules");
    assert!(!allowed(&machine));
}

#[test]
fn without_the_domain_manager_everything_is_refused() {
    let mut machine = Machine::new();
    machine.install("30-user.policy", ALLOW);
    machine.start();
    let answer = machine.ask("work", "@dispvm", "qubes.OpenInVM");
    assert!(
        answer.contains("reason=the domain manager is not running"),
        "{answer}"
    );
    machine.manager_answers(SYSTEM);
    assert!(allowed(&machine));
    machine.manager_dies();
    assert!(!allowed(&machine));
    machine.manager_answers(SYSTEM);
    assert!(allowed(&machine));
    assert_eq!(machine.records().len(), 4);
}

#[test]
fn a_change_of_the_domains_counts_for_the_next_call() {
    let mut machine = Machine::new();
    machine.install("30-user.policy", ALLOW);
    machine.start();
    machine.manager_answers(SYSTEM);
    assert!(allowed(&machine));
    machine.manager_says(r#"{"domains": {"work": {"type": "AppVM"}, "vault": {"type": "AppVM"}}}"#);
    let answer = machine.ask("work", "@dispvm", "qubes.OpenInVM");
    assert!(
        answer.contains("no default template for disposables"),
        "{answer}"
    );
}

#[test]
fn what_cannot_be_recorded_is_refused() {
    let mut machine = Machine::new();
    machine.install("30-user.policy", ALLOW);
    fs::create_dir_all(machine.layout().ledger()).unwrap();
    symlink(
        "/dev/full",
        machine.layout().ledger().join("decisions.jsonl"),
    )
    .unwrap();
    machine.start();
    machine.manager_answers(SYSTEM);
    let answer = machine.ask("work", "@dispvm", "qubes.OpenInVM");
    insta::assert_snapshot!(answer, @r"
    result=deny
    reason=the decision cannot be recorded
    ");
    let status = machine.status();
    insta::assert_snapshot!(status.ledger_error.unwrap(), @"cannot write to the ledger: No space left on device (os error 28)");
    assert_eq!((status.records, status.allowed, status.denied), (0, 0, 1));
}

#[test]
fn sigterm_ends_it_cleanly_and_kill_9_leaves_nothing_in_the_way() {
    let mut machine = Machine::new();
    machine.install("30-user.policy", ALLOW);
    machine.start();
    machine.manager_answers(SYSTEM);
    let socket = machine.layout().policy_socket();
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert_eq!(machine.stop(), Some(0));
    assert!(!socket.exists());
    machine.start();
    machine.manager_answers(SYSTEM);
    machine.child().kill().unwrap();
    machine.child().wait().unwrap();
    assert!(UnixStream::connect(&socket).is_err());
    machine.start();
    machine.manager_answers(SYSTEM);
    assert!(allowed(&machine));
}

#[test]
fn a_second_daemon_leaves_the_first_alone() {
    let mut machine = Machine::new();
    machine.install("30-user.policy", ALLOW);
    machine.start();
    machine.manager_answers(SYSTEM);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_policyd"))
        .env(bulkhead_types::Layout::ROOT_VARIABLE, machine.root())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    insta::assert_snapshot!(machine.without_root(&String::from_utf8_lossy(&second.stderr)), @r"
    error: cannot keep the ledger
    caused by: the ledger `ROOT/var/lib/bulkhead/ledger/decisions.jsonl` is in use: is another policyd running?
    ");
    assert!(allowed(&machine));
}
