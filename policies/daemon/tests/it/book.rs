// SPDX-License-Identifier: GPL-3.0-or-later
//! The ledger as a running daemon keeps it.

use std::convert::Infallible;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;

use policy_ledger::{Event, Expected, Verified, snapshot, verify};

use crate::fixture::{Machine, SYSTEM};

const POLICY: &str = "qubes.OpenInVM * * @dispvm allow\n";

fn verified(machine: &Machine) -> Verified {
    let snapshot = snapshot(&machine.layout().ledger()).unwrap();
    let segments = snapshot.segments.into_iter().map(|(name, mut file)| {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        Ok::<_, Infallible>((name, bytes))
    });
    let expected = Expected {
        head: snapshot.head,
        key: snapshot.key,
        noted: None,
        live: snapshot.live,
    };
    let verified = verify(segments, &expected).unwrap();
    assert!(verified.intact, "{:?}", verified.findings);
    verified
}

fn started() -> Machine {
    let mut machine = Machine::new();
    machine.install("30-user.policy", POLICY);
    machine.start();
    machine.manager_answers(SYSTEM);
    machine
}

#[test]
fn the_ledger_is_whole_while_it_is_written_when_it_is_closed_and_after_a_kill() {
    let mut machine = started();
    for _ in 0..50 {
        machine.ask("work", "vault", "qubes.OpenInVM");
        verified(&machine);
    }
    assert_eq!(machine.stop(), Some(0));
    let closed = verified(&machine);
    assert_eq!(closed.sealed_through, closed.last);
    machine.start();
    machine.manager_answers(SYSTEM);
    machine.ask("work", "@dispvm", "qubes.OpenInVM");
    machine.child().kill().unwrap();
    machine.child().wait().unwrap();
    machine.start();
    machine.manager_answers(SYSTEM);
    machine.ask("work", "@dispvm", "qubes.OpenInVM");
    let records = machine.records().len();
    assert_eq!((records, verified(&machine).intact), (52, true));
    let starts = machine.ledger().into_iter();
    let starts = starts.filter(|entry| matches!(entry.event, Event::Start { lost: 0, .. }));
    assert_eq!(starts.count(), 3);
}

#[test]
fn the_key_is_for_the_daemon_alone() {
    let machine = started();
    let mode = fs::metadata(machine.layout().seal_key())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn of_private_disposables_only_the_number_of_calls_is_kept() {
    let mut machine = Machine::new();
    machine.install("30-user.policy", POLICY);
    let settings = machine.layout().configuration().join("policyd.toml");
    fs::write(settings, "[ledger]\nprivate_disposables = true\n").unwrap();
    machine.start();
    machine.manager_answers(&SYSTEM.replace(
        "\"vault\": {\"type\": \"AppVM\"",
        "\"vault\": {\"type\": \"DispVM\"",
    ));
    machine.ask("vault", "@dispvm", "qubes.OpenInVM");
    machine.ask("vault", "work", "qubes.Filecopy");
    machine.ask("work", "@dispvm", "qubes.OpenInVM");
    assert_eq!(machine.records().len(), 1);
    let private = machine
        .ledger()
        .into_iter()
        .filter(|entry| entry.event == Event::Private);
    assert_eq!(private.count(), 2);
    assert!(!machine.logged().contains("Filecopy"));
}

#[test]
fn settings_that_make_no_sense_are_told_and_the_last_good_ones_stay() {
    let machine = started();
    let settings = machine.layout().configuration().join("policyd.toml");
    fs::write(settings, "[ledger]\nprivate = true\n").unwrap();
    machine.await_notification("STATUS=");
    let error = machine.status().settings_error.unwrap();
    assert!(error.contains("unknown field `private`"), "{error}");
    assert!(
        machine
            .ask("work", "@dispvm", "qubes.OpenInVM")
            .contains("result=allow")
    );
}
