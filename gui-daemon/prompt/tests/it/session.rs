// SPDX-License-Identifier: GPL-3.0-or-later
//! The files that start the prompt in dom0's session, held against the programs that read them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use bulkhead_types::Layout;

use crate::desktop::Desktop;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("session")
        .join(name)
}

/// What a program printed; it has to succeed.
fn ok(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// A root in which the files lie where they are installed.
fn installed() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, place) in [
        (
            "bulkhead-prompt.service",
            "usr/lib/systemd/user/bulkhead-prompt.service",
        ),
        ("tmpfiles.conf", "usr/lib/tmpfiles.d/bulkhead-prompt.conf"),
        ("sysusers.conf", "usr/lib/sysusers.d/bulkhead-prompt.conf"),
    ] {
        let place = root.path().join(place);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::copy(shipped(name), place).unwrap();
    }
    let program = root.path().join("usr/bin/bulkhead-prompt");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    std::fs::write(&program, "").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    root
}

#[test]
fn systemd_takes_the_unit_without_a_complaint() {
    let root = installed();
    // The program is where the unit says, but below the root.
    let unit = root.path().join("bulkhead-prompt.service");
    let text = std::fs::read_to_string(shipped("bulkhead-prompt.service")).unwrap();
    let own = format!("ExecStart={}/usr/bin", root.path().display());
    let moved = text.replace("ExecStart=/usr/bin", &own);
    assert_ne!(moved, text);
    std::fs::write(&unit, moved).unwrap();
    let told = ok(Command::new("systemd-analyze")
        .args(["verify", "--user", "--man=no"])
        .arg(&unit)
        .env("XDG_RUNTIME_DIR", root.path()));
    let about: Vec<_> = told
        .lines()
        .filter(|line| line.contains("bulkhead"))
        .collect();
    assert!(about.is_empty(), "{told}");
    for line in [
        "Restart=always",
        "PartOf=graphical-session.target",
        "WantedBy=graphical-session.target",
    ] {
        assert!(text.lines().any(|own| own == line), "{line}");
    }
}

#[test]
fn the_desktop_takes_the_entry_and_leaves_the_start_to_systemd_where_it_is() {
    let entry = shipped("bulkhead-prompt.desktop");
    assert_eq!(ok(Command::new("desktop-file-validate").arg(&entry)), "");
    let text = std::fs::read_to_string(entry).unwrap();
    assert!(text.lines().any(|line| line == "X-systemd-skip=true"));
}

/// As the entry does where systemd does not start it.
#[test]
fn a_prompt_that_crashes_is_started_again_and_one_that_ends_is_not() {
    let desktop = Desktop::of_entry();
    let [first, other] = [(), ()].map(|()| {
        let child = desktop.wait_for("the prompt runs", |_| desktop.prompt_child());
        desktop.wait_for("the prompt listens", |_| desktop.listens().then_some(()));
        let kill = Command::new("kill").args(["-KILL", &child]).status();
        assert!(kill.unwrap().success());
        desktop.wait_for("the prompt is gone", |_| {
            (desktop.prompt_child().as_ref() != Some(&child)).then_some(())
        });
        child
    });
    assert_ne!(first, other);
    desktop.wait_for("the prompt runs again", |_| desktop.prompt_child());
    desktop.wait_for("the prompt listens again", |_| {
        desktop.listens().then_some(())
    });
    // A second one ends, since there is one, and is not started again.
    let told = desktop.second_prompt();
    assert!(told.contains("another prompt listens"), "{told}");
}

#[test]
fn the_socket_lies_where_only_those_can_write_whose_session_answers() {
    let root = installed();
    let path = root.path().display();
    // With a group that is there, since in a namespace of one's own there is one user and one group.
    std::fs::create_dir_all(root.path().join("etc")).unwrap();
    std::fs::write(root.path().join("etc/group"), "root:x:0:\nbulkhead:x:0:\n").unwrap();
    std::fs::write(root.path().join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").unwrap();
    let told = ok(Command::new("unshare")
        .args(["--user", "--map-root-user", "systemd-tmpfiles", "--create"])
        .arg(format!("--root={path}"))
        .arg("bulkhead-prompt.conf"));
    assert_eq!(told, "");
    let socket = Layout::below(root.path()).policy_agent_socket();
    let folder = std::fs::metadata(socket.parent().unwrap()).unwrap();
    assert_eq!(folder.mode() & 0o7777, 0o2770);
    let text = std::fs::read_to_string(shipped("tmpfiles.conf")).unwrap();
    let folder = text.lines().find(|line| line.contains("/session")).unwrap();
    let words: Vec<_> = folder.split_whitespace().collect();
    assert_eq!(
        words,
        [
            "d",
            "/run/bulkhead/session",
            "2770",
            "root",
            "bulkhead",
            "-"
        ]
    );
    std::fs::remove_file(root.path().join("etc/group")).unwrap();
    ok(Command::new("systemd-sysusers").arg(format!("--root={path}")));
    let groups = std::fs::read_to_string(root.path().join("etc/group")).unwrap();
    assert!(
        groups.lines().any(|line| line.starts_with("bulkhead:")),
        "{groups}"
    );
}
