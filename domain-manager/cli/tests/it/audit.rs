// SPDX-License-Identifier: GPL-3.0-or-later
//! Reading, verifying and exporting a ledger.

use std::fs;
use std::time::{Duration, SystemTime};

use policy_ledger::{Act, Close, Decision, Event, Ledger, Limits, SealKey, Stages};

use crate::fixture::Fixture;

fn with_ledger() -> Fixture {
    let fixture = Fixture::alone();
    let key = SealKey::load_or_make(&fixture.path("seal.key")).unwrap();
    let directory = fixture.path("var/lib/bulkhead/ledger");
    let mut ledger = Ledger::open(&directory, key, Limits::default(), "boot").unwrap();
    let mut clock = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_667_400);
    let mut record = |event| {
        clock += Duration::from_secs(60);
        ledger.append(event, clock).unwrap();
    };
    record(Event::Decision(Decision {
        source: "work".into(),
        requested_target: "vault".into(),
        service: "qubes.Filecopy".into(),
        verdict: "deny".into(),
        reason: Some("a rule denies the call".into()),
        rule: Some("/etc/bulkhead/policy.d/30-user.policy:2".into()),
        ..Decision::default()
    }));
    record(Event::Act(Act {
        by: "root".into(),
        what: "grant".into(),
        detail: "1: work -> vault qubes.Gpg".into(),
    }));
    record(Event::Decision(Decision {
        source: "work".into(),
        requested_target: "=evil,\u{1b}[2J".into(),
        service: "qubes.Gpg+sign".into(),
        verdict: "allow".into(),
        target: Some("vault".into()),
        grant: Some(1),
        ..Decision::default()
    }));
    record(Event::Close(Close {
        call: 4,
        duration_ms: 1234,
        end: "the service ended".into(),
        sent: Some(10),
        received: Some(2000),
        stages: None,
    }));
    ledger.close(clock).unwrap();
    fixture
}

#[test]
fn the_ledger_is_shown_and_searched() {
    let fixture = with_ledger();
    insta::assert_snapshot!(fixture.run(&["policy", "audit"]), @r"
    1  2026-11-26 04:31:00  start
    2  2026-11-26 04:31:00  deny  work -> vault qubes.Filecopy: a rule denies the call; rule /etc/bulkhead/policy.d/30-user.policy:2
    3  2026-11-26 04:32:00  act   grant by root: 1: work -> vault qubes.Gpg
    4  2026-11-26 04:33:00  allow work -> =evil,\u{1b}[2J qubes.Gpg+sign; to vault; grant 1
    5  2026-11-26 04:34:00  end   of 4: the service ended; after 1234 ms; 10 bytes there, 2000 back
    6  2026-11-26 04:34:00  stop
    7  2026-11-26 04:34:00  seal
    ");
    insta::assert_snapshot!(fixture.run(&["policy", "audit", "verdict=deny", "since=2026-11-26"]), @"      2  2026-11-26 04:31:00  deny  work -> vault qubes.Filecopy: a rule denies the call; rule /etc/bulkhead/policy.d/30-user.policy:2");
    insta::assert_snapshot!(fixture.run(&["policy", "audit", "call=4", "--last", "1"]), @r"
    (1 earlier records; `--last 0` shows all)
          5  2026-11-26 04:34:00  end   of 4: the service ended; after 1234 ms; 10 bytes there, 2000 back
    ");
    insta::assert_snapshot!(fixture.run(&["policy", "audit", "source=vault"]), @"No record fits.");
    insta::assert_snapshot!(fixture.run(&["policy", "audit", "colour=red"]), @r"
    ! error: there is no `colour` to ask for; there are event, source, target, service, verdict, rule, reason, grant, generation, call, by, what, since, until
    ! hint: `bulkhead policy audit --help` lists the terms
    [exit code 2]
    ");
}

#[test]
fn a_ledger_is_verified_offline_and_a_change_is_found() {
    let fixture = with_ledger();
    let whole = fixture.run(&["policy", "audit", "verify"]);
    let (first, noted) = whole.split_once("--expect ").unwrap();
    insta::assert_snapshot!(first, @r"
    The ledger is as it was written: records 1 to 7, sealed to the end.
    To hold it against later:
    ");
    let said = fixture.run(&["policy", "audit", "verify", "--expect", noted.trim()]);
    assert_eq!(said, whole);
    let _ = fixture.run(&["policy", "audit", "export", "--to", "copy"]);
    let said = fixture.run(&["policy", "audit", "verify", "--ledger", "copy"]);
    assert_eq!(said, whole);
    let path = fixture.path("copy/decisions.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"deny\"", "\"allow\"")).unwrap();
    let said = fixture.run(&["policy", "audit", "verify", "--ledger", "copy"]);
    insta::assert_snapshot!(said, @r"
    decisions.jsonl:2: record 2 is not what was written, or where
    The ledger is not as it was written; findings: 1; records: 7, sealed to the end.
    [exit code 1]
    ");
    let json = fixture.run(&[
        "policy", "audit", "verify", "--ledger", "copy", "--format", "json",
    ]);
    assert!(json.contains("\"intact\": false") && json.contains("\"problem\": \"altered\""));
    let lines: Vec<_> = text.lines().collect();
    fs::write(&path, format!("{}\n", lines[..lines.len() - 2].join("\n"))).unwrap();
    let said = fixture.run(&["policy", "audit", "verify", "--ledger", "copy"]);
    assert!(
        said.contains("the end was cut off: records 6 to 7 are missing"),
        "{said}"
    );
}

#[test]
fn a_query_that_can_find_nothing_is_an_error() {
    let fixture = with_ledger();
    insta::assert_snapshot!(fixture.run(&["policy", "audit", "verdict=ask"]), @r"
    ! error: no record has the verdict `ask`; there are allow, deny
    ! hint: `bulkhead policy audit --help` lists the terms
    [exit code 2]
    ");
    insta::assert_snapshot!(fixture.run(&["policy", "trace", "call=last"]), @r"
    ! error: `last` is no number
    ! hint: `bulkhead policy audit --help` lists the terms
    [exit code 2]
    ");
    std::fs::create_dir(fixture.path("empty")).unwrap();
    for verb in [&["policy", "audit"][..], &["policy", "audit", "verify"]] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(fixture.run(&[verb, &["--ledger", "empty"]].concat()), @r"
            ! error: there is no ledger in empty
            ! hint: policyd begins it with its first start
            [exit code 1]
            ");
        }
    }
}

#[test]
fn a_ledger_without_a_record_yet_is_whole() {
    let fixture = Fixture::alone();
    let key = SealKey::load_or_make(&fixture.path("seal.key")).unwrap();
    let directory = fixture.path("var/lib/bulkhead/ledger");
    let ledger = Ledger::open(&directory, key, Limits::default(), "boot").unwrap();
    let verify = || fixture.run(&["policy", "audit", "verify"]);
    insta::assert_snapshot!(verify(), @"The ledger is as it was begun: it holds no record yet.");
    drop(ledger);
    fs::write(directory.join("head"), "").unwrap();
    assert!(verify().starts_with("decisions.jsonl:0: the file `head` is missing"));
}

#[test]
fn a_grant_is_found_with_the_calls_that_rest_on_it() {
    let fixture = with_ledger();
    insta::assert_snapshot!(fixture.run(&["policy", "audit", "grant=1"]), @r"
    3  2026-11-26 04:32:00  act   grant by root: 1: work -> vault qubes.Gpg
    4  2026-11-26 04:33:00  allow work -> =evil,\u{1b}[2J qubes.Gpg+sign; to vault; grant 1
    ");
}

#[test]
fn a_record_that_was_noted_and_is_not_there_is_said_to_be_missing() {
    let fixture = with_ledger();
    let noted = format!("8:{}", "0".repeat(64));
    insta::assert_snapshot!(fixture.run(&["policy", "audit", "verify", "--expect", &noted]), @r"
    decisions.jsonl:7: record 8, which was noted, is missing
    The ledger is not as it was written; findings: 1; records: 7, sealed to the end.
    [exit code 1]
    ");
}

#[test]
fn records_are_exported_for_other_programs() {
    let fixture = with_ledger();
    let csv = fixture.run(&[
        "policy",
        "audit",
        "export",
        "--format",
        "csv",
        "event=decision",
    ]);
    insta::assert_snapshot!(csv, @r#"
    sequence,time,event,source,requested_target,service,verdict,rule,reason,target,generation,prompt,grant,call,duration_ms,end,sent,received,by,what,detail
    2,2026-11-26T04:31:00.000000Z,decision,work,vault,qubes.Filecopy,deny,/etc/bulkhead/policy.d/30-user.policy:2,a rule denies the call,,,,,,,,,,,,
    4,2026-11-26T04:33:00.000000Z,decision,work,"'=evil, [2J",qubes.Gpg+sign,allow,,,vault,,,1,,,,,,,,
    "#);
    let lines = fixture.run(&["policy", "audit", "export"]);
    assert_eq!(lines.lines().count(), 7);
    let _ = fixture.run(&["policy", "audit", "export", "--output", "out.jsonl"]);
    assert_eq!(
        fs::read_to_string(fixture.path("out.jsonl")).unwrap(),
        lines
    );
    let again = fixture.run(&["policy", "audit", "export", "--output", "out.jsonl"]);
    assert!(again.contains("file exists"), "{again}");
}

#[test]
fn without_a_ledger_it_is_said() {
    insta::assert_snapshot!(Fixture::alone().run(&["policy", "audit", "verify"]), @r"
    ! error: cannot read the ledger $ROOT/var/lib/bulkhead/ledger
    ! caused by: no such file or directory
    ! hint: policyd begins it with its first start
    [exit code 1]
    ");
}

#[test]
fn where_the_time_of_calls_went_is_told_stage_by_stage() {
    let fixture = Fixture::alone();
    let key = SealKey::load_or_make(&fixture.path("seal.key")).unwrap();
    let directory = fixture.path("var/lib/bulkhead/ledger");
    let mut ledger = Ledger::open(&directory, key, Limits::default(), "boot").unwrap();
    let clock = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_667_400);
    let mut record = |event| ledger.append(event, clock).unwrap();
    let mut call = |source: &str, target: &str, service: &str, stages: Stages, end: &str| {
        let call = record(Event::Decision(Decision {
            source: source.into(),
            requested_target: target.into(),
            service: service.into(),
            verdict: "allow".into(),
            target: Some(target.into()),
            ..Decision::default()
        }));
        record(Event::Close(Close {
            call,
            duration_ms: stages.end_us / 1000,
            end: end.into(),
            stages: Some(stages),
            ..Close::default()
        }));
    };
    let here = Stages {
        policy_us: 85,
        start_us: Some(190),
        connect_us: Some(1850),
        first_byte_us: Some(3020),
        end_us: 3300,
    };
    call(
        "work",
        "dom0",
        "qubes.WindowIconUpdater",
        here,
        "exit code 0",
    );
    let abroad = Stages {
        policy_us: 70,
        start_us: Some(4_251_000),
        end_us: 65_000_000,
        ..Stages::default()
    };
    call("work", "vault", "qubes.Gpg\u{1b}[2J", abroad, "over");
    insta::assert_snapshot!(fixture.run(&["trace"]), @r"
    CALL  SOURCE  TARGET  SERVICE                  POLICY   START  CONNECT  FIRST BYTE     END  HOW
       2  work    dom0    qubes.WindowIconUpdater   85 µs  190 µs   1.8 ms      3.0 ms  3.3 ms  exit code 0
       4  work    vault   qubes.Gpg\u{1b}[2J        70 µs   4.2 s        -           -  65.0 s  over
    ");
    let json = fixture.run(&["trace", "vault", "--json"]);
    assert!(json.contains("\"start_us\": 4251000") && !json.contains("WindowIcon"));
    insta::assert_snapshot!(fixture.run(&["trace", "personal"]), @r"
    No call of `personal`, or to it, has ended.
    Refused ones: `bulkhead policy audit source=personal verdict=deny`
    ");
    assert_eq!(fixture.run(&["trace", "--last", "1"]).lines().count(), 2);
}
