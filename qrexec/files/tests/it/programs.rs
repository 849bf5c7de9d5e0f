// SPDX-License-Identifier: GPL-3.0-or-later
//! The programs as a guest runs them, with qrexec replaced by a script that joins the two
//! ends on one machine.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;
use tempfile::TempDir;

mod opening;
mod reasons;

/// Stands in for qrexec: the call ends in a service of the same machine.
const CLIENT: &str = r#"#!/bin/sh
case "$1" in
    forbidden) echo "Request refused" >&2; exit 126 ;;
    absent) exit 127 ;;
esac
export QREXEC_REMOTE_DOMAIN=untrusted HOME="$THERE"
case "$2" in
    qubes.Filecopy) exec "$PROGRAMS/qfile-receiver" ;;
    qubes.Filecopy+*) exec "$PROGRAMS/qfile-receiver" "${2#*+}" ;;
    qubes.OpenInVM) exec "$PROGRAMS/open-receiver" ;;
    qubes.OpenURL) exec "$PROGRAMS/open-address" ;;
esac
exit 127
"#;

struct Guests {
    here: TempDir,
    there: TempDir,
    bin: TempDir,
}

impl Guests {
    fn new() -> Self {
        let bin = TempDir::new().unwrap();
        let guests = Self {
            here: TempDir::new().unwrap(),
            there: TempDir::new().unwrap(),
            bin,
        };
        guests.install("qrexec-client-vm", CLIENT);
        guests
    }

    /// Written by another process: a program that this one has open for writing, or a child
    /// that another test is just starting, could not be run.
    fn install(&self, name: &str, script: &str) {
        let mut install = Command::new("install")
            .args(["-m", "755", "/dev/stdin"])
            .arg(self.bin.path().join(name))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = install.stdin.take().unwrap();
        input.write_all(script.as_bytes()).unwrap();
        drop(input);
        assert!(install.wait().unwrap().success());
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.here.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program, arguments).output().unwrap()
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let programs = Path::new(env!("CARGO_BIN_EXE_bulkhead-copy"))
            .parent()
            .unwrap();
        let mut command = Command::new(programs.join(program));
        command
            .args(arguments)
            .current_dir(self.here.path())
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.bin.path().display()),
            )
            .env("PROGRAMS", programs)
            .env("THERE", self.there.path())
            .env("TMPDIR", self.there.path());
        command
    }
}

/// Exit code and complaints, with this machine's name replaced.
fn told(output: &Output) -> String {
    let own = bulkhead_files::call::own_name();
    let text = String::from_utf8_lossy(&output.stderr).replace(&own, "OWN");
    format!("exit {}\n{text}", output.status.code().unwrap())
}

#[test]
fn a_copy_arrives_and_says_nothing() {
    let guests = Guests::new();
    guests.file("a.txt", "hello");
    let output = guests.run("bulkhead-copy", &["work", "a.txt"]);
    assert_snapshot!(told(&output), @"exit 0");
    let arrived = guests.there.path().join("QubesIncoming/untrusted/a.txt");
    assert_eq!(fs::read_to_string(arrived).unwrap(), "hello");
    assert_snapshot!(told(&guests.run("bulkhead-copy", &["work", "a.txt"])), @"
    exit 17
    error: `a.txt` exists already in work; remove it there and try again
    ");
}

#[test]
fn whose_complaints_nobody_can_read_ends_as_with_a_reader() {
    let guests = Guests::new();
    guests.file("a.txt", "hello");
    for (program, arguments, code) in [
        ("bulkhead-copy", &["work", "no such file"][..], 1),
        ("bulkhead-copy", &["forbidden", "a.txt"], 126),
        ("bulkhead-copy", &["absent", "a.txt"], 127),
        ("bulkhead-open", &["--domain", "forbidden", "a.txt"], 126),
        ("qfile-sender", &[], 2),
        ("vm-exec", &["absent"], 127),
    ] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = guests.command(program, arguments);
        let status = command.stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(code), "{program} {arguments:?}");
    }
}

#[test]
fn names_that_hide_something_are_asked_for_as_such() {
    let guests = Guests::new();
    guests.file("a\u{202e}fdp.exe", "hello");
    let output = guests.run("bulkhead-copy", &["work", "a\u{202e}fdp.exe"]);
    assert_eq!(told(&output), "exit 0\n");
    let arrived = guests.there.path().join("QubesIncoming/untrusted");
    assert!(arrived.join("a\u{202e}fdp.exe").exists());
    // Policy may know the one and not the other.
    let plain = CLIENT.replace("qubes.Filecopy+*) exec", "none) exec");
    guests.install("qrexec-client-vm", &plain);
    let output = guests.run("bulkhead-copy", &["work", "a\u{202e}fdp.exe"]);
    assert_snapshot!(told(&output), @"
    exit 127
    error: work has no service qubes.Filecopy
    ");
}

#[test]
fn what_can_be_no_copy_is_left_out_of_folders() {
    let guests = Guests::new();
    let folder = guests.here.path().join("folder");
    fs::create_dir(&folder).unwrap();
    guests.file("folder/a.txt", "hello");
    nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_snapshot!(told(&guests.run("bulkhead-copy", &["work", "folder"])), @"
    exit 0
    note: folder/pipe is neither a file nor a folder nor a link, and stays here
    ");
    let arrived = guests.there.path().join("QubesIncoming/untrusted/folder");
    assert_eq!(fs::read_dir(&arrived).unwrap().count(), 1);
    assert_snapshot!(told(&guests.run("bulkhead-copy", &["work", "folder/pipe"])), @"
    exit 1
    error: folder/pipe is neither a file nor a folder nor a link
    ");
    fs::remove_dir_all(&arrived).unwrap();
    assert_snapshot!(told(&guests.run("bulkhead-move", &["work", "folder"])), @"
    exit 0
    note: folder/pipe is neither a file nor a folder nor a link, and stays here
    note: folder stays, since it holds what was not sent
    ");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_snapshot!(told(&guests.run("bulkhead-open", &["folder/pipe"])), @"
    exit 2
    error: folder/pipe is not a file that could be opened elsewhere
    ");
}

#[test]
fn links_may_be_left_out() {
    let guests = Guests::new();
    fs::create_dir(guests.here.path().join("folder")).unwrap();
    guests.file("folder/a.txt", "hello");
    std::os::unix::fs::symlink("/etc/hostname", guests.here.path().join("folder/link")).unwrap();
    let whole = guests.run("bulkhead-copy", &["work", "folder"]);
    assert_snapshot!(told(&whole), @"
    exit 1
    error: cannot send folder/link
    caused by: the link leads out of the copied folder
    ");
    let arrived = guests.there.path().join("QubesIncoming/untrusted/folder");
    assert!(!arrived.exists(), "nobody was asked");
    let words = ["--without-progress", "--ignore-symlinks", "work", "folder"];
    assert_snapshot!(told(&guests.run("bulkhead-copy", &words)), @"exit 0");
    assert_eq!(fs::read_dir(&arrived).unwrap().count(), 1);
}

/// What the sending program sends, on its way into the receiving one, and their exit codes.
fn sent_and_received(guests: &Guests, words: &[&str]) -> (Vec<u8>, Vec<u8>, Option<i32>) {
    let sent = guests.run("qfile-sender", words);
    let own = Path::new(env!("CARGO_BIN_EXE_bulkhead-copy")).with_file_name("qfile-receiver");
    let mut receiver = Command::new(own)
        .env("HOME", guests.there.path())
        .env("QREXEC_REMOTE_DOMAIN", "untrusted")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = receiver.stdin.take().unwrap();
    input.write_all(&sent.stdout).unwrap();
    drop(input);
    let output = receiver.wait_with_output().unwrap();
    (sent.stdout, output.stdout, output.status.code())
}

#[test]
fn the_receiver_names_the_last_entry_and_ends_with_the_number_of_the_error() {
    let guests = Guests::new();
    guests.file("--", "hello");
    guests.file("a.txt", "hello");
    let words = ["--ignore-symlinks", "--", "--", "a.txt"];
    let (sent, answer, code) = sent_and_received(&guests, &words);
    assert!(sent.windows(2).any(|two| two == b"--"));
    assert_eq!(code, Some(0));
    assert_eq!(answer[..4], [0; 4]);
    assert_eq!(answer[16..], *b"\x05\0\0\0a.txt");
    let (_, answer, code) = sent_and_received(&guests, &["a.txt"]);
    let exists = nix::errno::Errno::EEXIST as i32;
    assert_eq!(code, Some(exists));
    assert_eq!(answer[..4], exists.to_le_bytes());
}

#[test]
fn a_move_removes_the_file_only_after_it_arrived() {
    let guests = Guests::new();
    let path = guests.file("a.txt", "hello");
    assert_snapshot!(told(&guests.run("bulkhead-move", &["forbidden", "a.txt"])), @"
    exit 126
    Request refused
    error: OWN could not move files to forbidden
    hint: dom0's log says why
    ");
    assert!(path.exists());
    assert_snapshot!(told(&guests.run("bulkhead-move", &["work", "a.txt"])), @"exit 0");
    assert!(!path.exists());
}

/// Runs a program under another name, as a link in a guest does.
fn run_as(guests: &Guests, program: &str, name: &str, arguments: &[&str]) -> Output {
    let own = Path::new(env!("CARGO_BIN_EXE_bulkhead-copy")).with_file_name(program);
    let link = guests.bin.path().join(name);
    std::os::unix::fs::symlink(own, &link).unwrap();
    guests.run(link.to_str().unwrap(), arguments)
}

#[test]
fn the_names_that_people_know_work_too() {
    let guests = Guests::new();
    let path = guests.file("a.txt", "hello");
    // Nobody is named: policy chooses, here the script that stands in for it.
    let output = run_as(&guests, "bulkhead-copy", "qvm-copy", &["a.txt"]);
    assert_eq!(told(&output), "exit 0\n");
    let arrived = guests.there.path().join("QubesIncoming/untrusted/a.txt");
    fs::remove_file(arrived).unwrap();
    let words = ["work", "a.txt"];
    let output = run_as(&guests, "bulkhead-copy", "qvm-copy-to-vm", &words);
    assert_eq!(told(&output), "exit 0\n");
    guests.file("b.txt", "hello");
    let words = ["work", "b.txt"];
    let output = run_as(&guests, "bulkhead-move", "qvm-move-to-vm", &words);
    assert_eq!(told(&output), "exit 0\n");
    assert!(path.exists() && !path.with_file_name("b.txt").exists());
    let output = run_as(&guests, "bulkhead-move", "qvm-move", &["a.txt"]);
    assert_snapshot!(told(&output), @"
    exit 17
    error: `a.txt` exists already in the default domain; remove it there and try again
    ");
    assert!(path.exists());
}

#[test]
fn a_shell_takes_its_commands_from_standard_input() {
    let shell = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../templates/guest/rpc/qubes.VMShell"
    );
    let mut shell = Command::new(shell)
        .env_remove("SHELL")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = shell.stdin.take().unwrap();
    input
        .write_all(b"read line\nwhat it reads\necho \"$line\"; exit 4\n")
        .unwrap();
    drop(input);
    let output = shell.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(output.stdout, b"what it reads\n");
}

#[test]
fn each_way_to_fail_has_its_own_words() {
    let guests = Guests::new();
    guests.file("a.txt", "hello");
    assert_snapshot!(told(&guests.run("bulkhead-copy", &["forbidden", "a.txt"])), @"
    exit 126
    Request refused
    error: OWN could not copy files to forbidden
    hint: dom0's log says why
    ");
    assert_snapshot!(told(&guests.run("bulkhead-copy", &["absent", "a.txt"])), @"
    exit 127
    error: absent has no service qubes.Filecopy
    ");
    assert_snapshot!(told(&guests.run("bulkhead-copy", &["work", "none.txt"])), @"
    exit 1
    error: cannot read none.txt
    caused by: No such file or directory (os error 2)
    ");
    assert_snapshot!(told(&guests.run("bulkhead-open", &["--domain", "forbidden", "a.txt"])), @"
    exit 126
    Request refused
    error: a.txt is not open in forbidden
    hint: dom0's log says why
    ");
    assert_snapshot!(told(&guests.run("bulkhead-open", &["--domain", "work", "none.txt"])), @"
    exit 2
    error: none.txt is not a file that could be opened elsewhere
    ");
    assert_eq!(
        guests.run("bulkhead-copy", &["-x", "a.txt"]).status.code(),
        Some(2)
    );
    assert_eq!(
        guests.run("bulkhead-copy", &["work"]).status.code(),
        Some(2)
    );
}

#[test]
fn a_command_is_run_from_its_argument() {
    let guests = Guests::new();
    let output = guests.run(
        "vm-exec",
        &["sh+--c+echo-20-22-241-22-3B-20exit-207+x+a-20b"],
    );
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, b"a b\n");
    assert_snapshot!(told(&guests.run("vm-exec", &["no.such.program"])), @"
    exit 127
    error: cannot run no.such.program: No such file or directory (os error 2)
    ");
    assert_snapshot!(told(&guests.run("vm-exec", &["a b"])), @"
    exit 125
    error: the byte 0x20 at 1 has to be written as -HH
    ");
}
