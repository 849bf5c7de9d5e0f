// SPDX-License-Identifier: GPL-3.0-or-later
//! The programs as a guest runs them, with qrexec replaced by a script that joins the two
//! ends on one machine.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;
use tempfile::TempDir;

/// Stands in for qrexec: the call ends in a service of the same machine.
const CLIENT: &str = r#"#!/bin/sh
case "$1" in
    forbidden) exit 126 ;;
    absent) exit 127 ;;
esac
export QREXEC_REMOTE_DOMAIN=untrusted HOME="$THERE"
case "$2" in
    qubes.Filecopy) exec "$PROGRAMS/qfile-receiver" ;;
    qubes.OpenInVM) exec "$PROGRAMS/open-receiver" ;;
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
        let programs = Path::new(env!("CARGO_BIN_EXE_bulkhead-copy"))
            .parent()
            .unwrap();
        Command::new(programs.join(program))
            .args(arguments)
            .current_dir(self.here.path())
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.bin.path().display()),
            )
            .env("PROGRAMS", programs)
            .env("THERE", self.there.path())
            .env("TMPDIR", self.there.path())
            .output()
            .unwrap()
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
    exit 1
    error: `a.txt` exists already in work; remove it there and try again
    ");
}

#[test]
fn a_move_removes_the_file_only_after_it_arrived() {
    let guests = Guests::new();
    let path = guests.file("a.txt", "hello");
    assert_snapshot!(told(&guests.run("bulkhead-move", &["forbidden", "a.txt"])), @"
    exit 126
    error: OWN may not move files to forbidden: refused by policy
    ");
    assert!(path.exists());
    assert_snapshot!(told(&guests.run("bulkhead-move", &["work", "a.txt"])), @"exit 0");
    assert!(!path.exists());
}

#[test]
fn each_way_to_fail_has_its_own_words() {
    let guests = Guests::new();
    guests.file("a.txt", "hello");
    assert_snapshot!(told(&guests.run("bulkhead-copy", &["forbidden", "a.txt"])), @"
    exit 126
    error: OWN may not copy files to forbidden: refused by policy
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
    error: OWN may not open files in forbidden: refused by policy
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

/// A display that greets, and viewers that write down what they were given.
mod opening {
    use std::io::Read;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// Answers one greeting on a display number nobody else has, and gives its name.
    fn display() -> (String, PathBuf) {
        let folder = Path::new("/tmp/.X11-unix");
        fs::create_dir_all(folder).unwrap();
        let number = 40_000 + std::process::id() % 20_000;
        let (number, socket, listener) = (number..)
            .find_map(|number| {
                let socket = folder.join(format!("X{number}"));
                let listener = UnixListener::bind(&socket).ok()?;
                Some((number, socket, listener))
            })
            .unwrap();
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                let mut greeting = [0; 12];
                if stream.read_exact(&mut greeting).is_ok() {
                    let _ = stream.write_all(&[1, 0, 11, 0, 0, 0, 0, 0]);
                }
            }
        });
        (format!(":{number}"), socket)
    }

    fn open(guests: &Guests, viewer: &str, arguments: &[&str]) -> Output {
        let (display, socket) = display();
        guests.install("mupdf", &format!("#!/bin/sh\n{viewer}\n"));
        let client = CLIENT.replace("export ", &format!("export DISPLAY={display} "));
        guests.install("qrexec-client-vm", &client);
        let output = guests.run("bulkhead-open", arguments);
        fs::remove_file(socket).unwrap();
        output
    }

    #[test]
    fn a_file_that_was_changed_there_replaces_the_one_here() {
        let guests = Guests::new();
        let path = guests.file("invoice.pdf", "before");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let output = open(
            &guests,
            "printf after > \"$1\"; echo noise",
            &["invoice.pdf"],
        );
        assert_eq!(told(&output), "exit 0\nnoise\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(
            fs::read_dir(guests.there.path()).unwrap().count(),
            0,
            "nothing stays there"
        );
    }

    #[test]
    fn the_viewers_exit_code_comes_back_and_a_failed_call_changes_nothing() {
        let guests = Guests::new();
        let path = guests.file("invoice.pdf", "before");
        let output = open(
            &guests,
            "cat \"$1\" >&2; exit 3",
            &["--disposable", "invoice.pdf"],
        );
        assert_eq!(told(&output), "exit 3\nbefore");
        let output = open(&guests, "printf after > \"$1\"; exit 3", &["invoice.pdf"]);
        assert_eq!(output.status.code(), Some(3));
        // Root may write what is read-only.
        let view_only = ["--view-only", "invoice.pdf"];
        let _ = open(&guests, "printf after > \"$1\"; exit 0", &view_only);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    }
}
