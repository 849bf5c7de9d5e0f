// SPDX-License-Identifier: GPL-3.0-or-later
//! Records are written, counted, rotated and pruned.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::symlink;

use policy_ledger::{Event, LedgerError, Limits, Problem, SealKey};

use crate::fixture::{Bytes, Folder, at, decision};

#[test]
fn a_record_is_a_line_that_people_can_read() {
    let folder = Folder::new();
    let mut ledger = folder.open(Limits::default());
    ledger.append(decision("qubes.Gpg"), at(0)).unwrap();
    let text = fs::read_to_string(folder.ledger().join("decisions.jsonl")).unwrap();
    let line = text.lines().nth(1).unwrap();
    let (content, chain) = line.split_once(",\"chain\"").unwrap();
    insta::assert_snapshot!(content, @r#"{"sequence":2,"time":"2026-11-26T04:30:00.000000Z","event":"decision","source":"work","requested_target":"","service":"qubes.Gpg","verdict":"deny","rule":null,"reason":"no rule allows the call","target":null"#);
    assert_eq!(chain.len(), ":\"\"}".len() + 64);
}

#[test]
fn a_reopened_ledger_goes_on_counting_and_chaining() {
    let folder = Folder::new();
    let mut ledger = folder.open(Limits::default());
    assert_eq!(ledger.append(decision("a"), at(0)).unwrap(), 2);
    assert_eq!(
        ledger.append(decision(&"b".repeat(65000)), at(1)).unwrap(),
        3
    );
    ledger.close(at(2)).unwrap();
    let mut ledger = folder.open(Limits::default());
    assert_eq!(ledger.append(decision("c"), at(3)).unwrap(), 7);
    ledger.close(at(4)).unwrap();
    let verified = folder.verified();
    assert!(verified.intact, "{:?}", verified.findings);
    assert_eq!((verified.records, verified.seals), (9, 2));
    assert_eq!(verified.sealed_through, verified.last);
    let names: Vec<_> = folder.entries().iter().map(|e| e.event.name()).collect();
    assert_eq!(
        names,
        [
            "start", "decision", "decision", "stop", "seal", "start", "decision", "stop", "seal"
        ]
    );
}

#[test]
fn an_unfinished_line_is_removed_and_told() {
    let folder = Folder::new();
    let mut ledger = folder.open(Limits::default());
    ledger.append(decision("a"), at(0)).unwrap();
    drop(ledger);
    let path = folder.ledger().join("decisions.jsonl");
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"sequence\":3,\"ti").unwrap();
    assert_eq!(folder.verified().findings[0].problem, Problem::Unfinished);
    let mut ledger = folder.open(Limits::default());
    ledger.append(decision("b"), at(1)).unwrap();
    assert!(folder.verified().intact);
    assert!(matches!(
        folder.entries()[2].event,
        Event::Start {
            torn: 17,
            lost: 0,
            ..
        }
    ));
}

#[test]
fn what_a_power_failure_took_leaves_a_gap_and_its_numbers_are_not_used_again() {
    let folder = Folder::new();
    let mut ledger = folder.open(Limits::default());
    ledger.append(decision("a"), at(0)).unwrap();
    let path = folder.ledger().join("decisions.jsonl");
    let length = fs::metadata(&path).unwrap().len();
    ledger.append(decision("b"), at(1)).unwrap();
    ledger.append(decision("c"), at(2)).unwrap();
    drop(ledger);
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(length)
        .unwrap();
    let mut ledger = folder.open(Limits::default());
    assert_eq!(ledger.append(decision("d"), at(3)).unwrap(), 6);
    assert!(matches!(
        folder.entries()[2].event,
        Event::Start { lost: 2, .. }
    ));
    let findings = folder.verified().findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(
        findings[0].problem,
        Problem::Removed {
            from: 3,
            through: 4
        }
    );
}

#[test]
fn two_writers_are_not_let_in() {
    let folder = Folder::new();
    let _first = folder.open(Limits::default());
    let key = SealKey::load_or_make(&folder.ledger().join("other.key")).unwrap();
    let second = policy_ledger::Ledger::open(&folder.ledger(), key, Limits::default(), "");
    assert!(matches!(second, Err(LedgerError::InUse { .. })));
}

#[test]
fn a_full_disk_is_an_error_and_not_a_record() {
    let folder = Folder::new();
    fs::create_dir_all(folder.ledger()).unwrap();
    symlink("/dev/full", folder.ledger().join("decisions.jsonl")).unwrap();
    let mut ledger = folder.open(Limits::default());
    for _ in 0..2 {
        let failed = ledger.append(decision("a"), at(0));
        assert!(matches!(failed, Err(LedgerError::Write(_))));
    }
    assert_eq!(ledger.head().sequence, 0);
}

#[test]
fn full_segments_are_put_aside_sealed_and_the_oldest_may_go() {
    let folder = Folder::new();
    let limits = Limits {
        segment: 1000,
        keep: 0,
    };
    let mut ledger = folder.open(limits);
    for n in 0..20 {
        ledger.append(decision(&format!("s{n}")), at(n)).unwrap();
    }
    let rotated = folder
        .names()
        .iter()
        .filter(|name| name.starts_with("decisions-"))
        .count();
    assert!(rotated >= 3);
    let verified = folder.verified();
    assert!(verified.intact, "{:?}", verified.findings);
    assert!(verified.seals as usize >= rotated);
    ledger.limit(Limits { keep: 1, ..limits });
    for n in 20..40 {
        ledger.append(decision(&format!("s{n}")), at(n)).unwrap();
    }
    let verified = folder.verified();
    assert!(verified.intact, "{:?}", verified.findings);
    assert!(verified.first > Some(1));
    // What goes without a word is missed.
    let bytes = Bytes::read(&folder.ledger());
    let mut cut = bytes.clone();
    cut.segments.remove(0);
    assert!(!cut.verified().intact);
}

#[test]
fn a_segment_of_the_past_is_missed_wherever_it_stood() {
    let folder = Folder::new();
    let mut ledger = folder.open(Limits {
        segment: 1000,
        keep: 0,
    });
    for n in 0..20 {
        ledger.append(decision(&format!("s{n}")), at(n)).unwrap();
    }
    let bytes = Bytes::read(&folder.ledger());
    for gone in 0..bytes.segments.len() {
        let mut cut = bytes.clone();
        cut.segments.remove(gone);
        assert!(!cut.verified().intact, "{gone}");
    }
}

#[test]
fn a_reader_finds_the_ledger_whole_while_it_is_written() {
    let folder = Folder::new();
    let mut ledger = folder.open(Limits {
        segment: 4000,
        keep: 0,
    });
    std::thread::scope(|scope| {
        let (done, end) = std::sync::mpsc::channel();
        let folder = &folder;
        let reader = scope.spawn(move || {
            let mut read = 0;
            while end.try_recv().is_err() || read == 0 {
                let bytes = Bytes::read(&folder.ledger());
                if !bytes.head.is_empty() {
                    let verified = bytes.verified();
                    assert!(verified.intact, "{:?}", verified.findings);
                    read += 1;
                }
            }
        });
        for n in 0..3000 {
            ledger.append(decision("a"), at(n)).unwrap();
        }
        let _ = done.send(());
        reader.join().unwrap();
    });
}

#[test]
fn of_a_private_disposable_only_that_there_was_something_is_kept() {
    let folder = Folder::new();
    let mut ledger = folder.open(Limits::default());
    ledger.append(Event::Private, at(77)).unwrap();
    let entry = folder.entries().pop().unwrap();
    assert_eq!(entry.time, "2026-11-26T04:00:00.000000Z");
    assert_eq!(entry.event, Event::Private);
}
