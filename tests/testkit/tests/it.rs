// SPDX-License-Identifier: GPL-3.0-or-later
//! Stories about the fixture itself.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use testkit::Processes;
use testkit::wire::{News, Start};

fn first_process() -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_testkit-init"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    (child, output)
}

fn news(output: &mut impl BufRead) -> News {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

fn order(child: &mut Child, folder: &TempDir, script: &str) {
    let start = Start {
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        log: folder.path().join("log"),
    };
    let line = serde_json::to_string(&start).unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "{line}").unwrap();
}

#[test]
fn everything_ends_with_the_fixture_even_what_left_its_parent_and_its_session() {
    let folder = TempDir::new().unwrap();
    let (mut child, mut output) = first_process();
    let News::Started(anchor) = news(&mut output) else {
        panic!("no anchor")
    };
    order(
        &mut child,
        &folder,
        "setsid sh -c 'sleep 1001 & sleep 1002 & wait' & exit 4",
    );
    let News::Started(id) = news(&mut output) else {
        panic!("not started")
    };
    assert_eq!(news(&mut output), News::Ended(id, 4));
    let own = child.id().cast_signed();
    assert!(
        Processes::read()
            .below(own)
            .iter()
            .any(|process| process.id != anchor)
    );

    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    let left = Processes::read().below(1);
    assert!(
        !left.iter().any(|process| process.parent == own),
        "{left:#?}"
    );
}

#[test]
fn a_program_that_cannot_start_says_why() {
    let folder = TempDir::new().unwrap();
    let (mut child, mut output) = first_process();
    news(&mut output);
    let start = Start {
        argv: vec!["/no/such/program".into()],
        environment: Vec::new(),
        log: folder.path().join("log"),
    };
    let line = serde_json::to_string(&start).unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "{line}").unwrap();
    let News::Failed(why) = news(&mut output) else {
        panic!("it started")
    };
    assert!(why.starts_with("cannot start /no/such/program"), "{why}");
    drop(child.stdin.take());
    child.wait().unwrap();
}
