// SPDX-License-Identifier: GPL-3.0-or-later
//! Calls that were not made, or were ended: the program that calls says why, and these say of what nothing came.

use super::*;

/// Calls that come to nothing in each way, and say why as qrexec's own program does.
const TROUBLE: &str = r#"#!/bin/sh
case "$1" in
    forbidden | @default) echo "Request refused" >&2; exit 126 ;;
    busy) echo "error: too many calls are under way" >&2; exit 125 ;;
    cut) head -c 1 > "$THERE/begun"; echo "error: the permission for it has ended" >&2; exit 126 ;;
    broken) echo "error: the other domain closed the connection" >&2; exit 255 ;;
    killed) exit 137 ;;
    late) "$PROGRAMS/qfile-receiver"; echo "error: the permission for it has ended" >&2; exit 126 ;;
    changed) printf half; echo "error: the permission for it has ended" >&2; exit 126 ;;
esac
"#;

fn guests() -> Guests {
    let guests = Guests::new();
    let late = "export QREXEC_REMOTE_DOMAIN=untrusted HOME=\"$THERE\"\ncase";
    guests.install("qrexec-client-vm", &TROUBLE.replacen("case", late, 1));
    guests.file("a.txt", "hello");
    guests
}

/// All that a terminal shows.
fn on_a_terminal(guests: &Guests, words: &str) -> String {
    let (program, arguments) = words.split_once(' ').unwrap();
    let command = guests.command(program, &[]);
    let line = format!("{} {arguments}", command.get_program().display());
    let mut terminal = Command::new("script");
    terminal
        .args(["-qec", &line, "/dev/null"])
        .current_dir(guests.here.path())
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        terminal.env(name, value.unwrap());
    }
    let mut output = terminal.output().unwrap();
    output.stdout.retain(|byte| *byte != b'\r');
    output.stderr = output.stdout.split_off(0);
    told(&output)
}

#[test]
fn a_call_without_a_target_that_was_refused_names_the_default_domain() {
    let guests = guests();
    assert_snapshot!(told(&guests.run("bulkhead-copy", &["@default", "a.txt"])), @"
    exit 126
    Request refused
    error: OWN could not copy files to the default domain
    hint: dom0's log says why
    ");
}

#[test]
fn a_person_at_a_terminal_has_been_told_more_than_that_it_was_refused() {
    let guests = guests();
    assert_snapshot!(on_a_terminal(&guests, "bulkhead-copy forbidden a.txt"), @"
    exit 126
    Request refused
    error: OWN could not copy files to forbidden
    ");
    assert_snapshot!(on_a_terminal(&guests, "bulkhead-open --domain forbidden a.txt"), @"
    exit 126
    Request refused
    error: a.txt is not open in forbidden
    ");
}

#[test]
fn too_many_calls_do_not_read_like_a_domain_that_has_stopped() {
    let guests = guests();
    assert_snapshot!(told(&guests.run("bulkhead-copy", &["busy", "a.txt"])), @"
    exit 125
    error: too many calls are under way
    error: OWN could not copy files to busy
    ");
    assert_snapshot!(told(&guests.run("bulkhead-open", &["--domain", "busy", "a.txt"])), @"
    exit 125
    error: too many calls are under way
    error: a.txt is not open in busy
    ");
    let page = ["--domain", "busy", "https://example.org"];
    assert_snapshot!(told(&guests.run("bulkhead-open", &page)), @"
    exit 125
    error: too many calls are under way
    error: the page is not open in busy
    ");
}

#[test]
fn that_the_other_domain_has_gone_is_said_once_and_of_a_service_that_says_nothing_its_code() {
    let guests = guests();
    assert_snapshot!(told(&guests.run("bulkhead-copy", &["broken", "a.txt"])), @"
    exit 255
    error: the other domain closed the connection
    error: OWN could not copy files to broken
    ");
    assert_snapshot!(told(&guests.run("bulkhead-open", &["--domain", "broken", "a.txt"])), @"
    exit 255
    error: the other domain closed the connection
    error: a.txt is not open in broken
    ");
    assert_snapshot!(told(&guests.run("bulkhead-copy", &["killed", "a.txt"])), @"
    exit 137
    error: the other domain gave no answer
    caused by: the answer has 0 bytes; it needs 16 at least
    hint: the call ended with exit code 137
    ");
    assert_snapshot!(told(&guests.run("bulkhead-open", &["--domain", "killed", "a.txt"])), @"
    exit 137
    ");
}

#[test]
fn a_call_that_was_ended_was_not_refused() {
    let guests = guests();
    let path = guests.file("b.txt", "hello");
    assert_snapshot!(told(&guests.run("bulkhead-move", &["cut", "b.txt"])), @"
    exit 126
    error: the permission for it has ended
    error: OWN could not move files to cut
    hint: dom0's log says why
    ");
    // All had arrived by then.
    assert_snapshot!(told(&guests.run("bulkhead-move", &["late", "b.txt"])), @"
    exit 126
    error: the permission for it has ended
    error: late has the files, but its service ended with exit code 126
    ");
    assert!(path.exists());
    assert_snapshot!(told(&guests.run("bulkhead-open", &["--domain", "cut", "b.txt"])), @"
    exit 126
    error: the permission for it has ended
    error: b.txt is not open in cut
    hint: dom0's log says why
    ");
    assert_snapshot!(told(&guests.run("bulkhead-open", &["--domain", "changed", "b.txt"])), @"
    exit 126
    error: the permission for it has ended
    error: the call failed, so the changes made in changed are not taken
    ");
    assert_eq!(fs::read_to_string(path).unwrap(), "hello");
}
