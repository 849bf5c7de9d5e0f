// SPDX-License-Identifier: GPL-3.0-or-later
//! Opening: a display that greets, and viewers that write down what they were given.

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
fn the_viewers_exit_code_comes_back_unless_it_has_changed_the_file() {
    let guests = Guests::new();
    let path = guests.file("invoice.pdf", "before");
    let output = open(
        &guests,
        "cat \"$1\" >&2; exit 3",
        &["--disposable", "invoice.pdf"],
    );
    assert_eq!(told(&output), "exit 3\nbefore");
    let view_only = ["--view-only", "invoice.pdf"];
    let changes = "chmod 600 \"$1\"; printf after > \"$1\"; exit 3";
    let output = open(&guests, changes, &view_only);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    // A name that looks like the wish to view only is none.
    let named = guests.file("view-only-a.pdf", "before");
    for file in [&path, &named] {
        let name = file.file_name().unwrap().to_str().unwrap();
        let output = open(&guests, changes, &[name]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(fs::read_to_string(file).unwrap(), "after");
    }
}

#[test]
fn a_failed_call_changes_nothing() {
    let guests = Guests::new();
    let path = guests.file("invoice.pdf", "before");
    guests.install("qrexec-client-vm", "#!/bin/sh\nprintf half; exit 1\n");
    assert_snapshot!(told(&guests.run("bulkhead-open", &["invoice.pdf"])), @"
    exit 1
    error: the call failed, so the changes made in a disposable are not taken
    ");
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
}

#[test]
fn changes_that_cannot_lie_beside_the_file_are_kept() {
    let guests = Guests::new();
    let folder = guests.here.path().canonicalize().unwrap().join("folder");
    fs::create_dir(&folder).unwrap();
    guests.file("folder/invoice.pdf", "before");
    // Nothing can be written where no folder is.
    let viewer = format!("printf after > \"$1\"; rm -r {}", folder.display());
    let output = open(&guests, &viewer, &["folder/invoice.pdf"]);
    let told = told(&output);
    let kept = told.trim_end().rsplit(' ').next().unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "after");
    let path = folder.join("invoice.pdf");
    assert_eq!(
        told,
        format!(
            "exit 0\nnote: the changed file cannot replace {}: entity not found; it is in {kept}\n",
            path.display(),
        )
    );
}

#[test]
fn a_long_name_keeps_its_ending() {
    let guests = Guests::new();
    let name = format!("{}.pdf", "a".repeat(251));
    guests.file(&name, "before");
    let output = open(&guests, "echo \"${1##*/}\"", &["--view-only", &name]);
    assert_eq!(told(&output), format!("exit 0\n{}\n", &name[10..]));
}

#[test]
fn what_is_open_for_another_domain_does_not_open_disposables_unasked() {
    let guests = Guests::new();
    guests.file("invoice.pdf", "before");
    let own = Path::new(env!("CARGO_BIN_EXE_bulkhead-open"));
    let viewer = format!(
        "cd {}; {} invoice.pdf",
        guests.here.path().display(),
        own.display()
    );
    let client = CLIENT.replace("export ", "export QREXEC_SERVICE_FULL_NAME=$2+ ");
    guests.install("zenity", "#!/bin/sh\necho asked >&2; exit 1\n");
    let asked = |guests: &Guests| {
        let (display, socket) = display();
        let client = client.replace("export ", &format!("export DISPLAY={display} "));
        guests.install("mupdf", &format!("#!/bin/sh\n{viewer}\n"));
        guests.install("qrexec-client-vm", &client);
        let output = guests.run("bulkhead-open", &["invoice.pdf"]);
        fs::remove_file(socket).unwrap();
        told(&output)
    };
    assert_snapshot!(asked(&guests), @"
    exit 1
    asked
    error: the answer was not to open one more disposable
    ");
}

#[test]
fn a_page_is_shown_by_the_browser_there() {
    let guests = Guests::new();
    guests.install("x-www-browser", "#!/bin/sh\necho \"$@\" >&2; exit 5\n");
    let address = "https://example.org/?q=$(id)";
    let output = open(&guests, "", &["--domain", "work", address]);
    assert_eq!(told(&output), format!("exit 5\n{address}\n"));
    let output = open(&guests, "", &["--domain", "forbidden", address]);
    assert_snapshot!(told(&output), @"
    exit 126
    Request refused
    error: the page is not open in forbidden
    hint: dom0's log says why
    ");
    let output = open(&guests, "", &["http://a b"]);
    assert_snapshot!(told(&output), @"
    exit 1
    error: cannot open this address
    caused by: an address may hold visible ASCII characters only
    ");
    guests.install(
        "qrexec-client-vm",
        "#!/bin/sh\necho file:///etc/passwd | \"$PROGRAMS/open-address\"\n",
    );
    let output = guests.run("bulkhead-open", &["http://a"]);
    assert_snapshot!(told(&output), @"
    exit 1
    error: the caller sent no address
    caused by: only addresses that begin with http://, https:// or ftp:// are opened
    ");
}

#[test]
fn a_session_is_there_when_its_display_answers() {
    let guests = Guests::new();
    let (display, socket) = display();
    let program = Path::new(env!("CARGO_BIN_EXE_wait-for-session"));
    let wait = || {
        Command::new(program)
            .env("DISPLAY", &display)
            .status()
            .unwrap()
    };
    assert!(wait().success());
    fs::remove_file(socket).unwrap();
    let output = guests.run("list-applications", &[]);
    assert_eq!(output.status.code(), Some(0));
}
