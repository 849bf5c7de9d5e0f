// SPDX-License-Identifier: GPL-3.0-or-later
//! Guests that die or do not answer.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;
use testkit::FixtureOptions;

use crate::scene::Scene;

#[test]
fn a_guest_that_is_killed_in_the_middle_of_a_call_ends_the_call() {
    let scene = Scene::new();
    let from_dom0 = scene.call("work", "exec sleep 1000");
    let script = "(echo 'echo here; exec sleep 1000'; sleep 1000) | \
                  qrexec-client-vm personal qubes.VMShell";
    let argv = ["bulkhead", "run", "work", "--", "sh", "-c", script];
    let between = scene.start(&argv, "");
    between.prints("here").unwrap();

    scene.ok(&["bulkhead", "kill", "work"]);
    for call in [from_dom0, between] {
        let captured = call.finish().unwrap();
        assert_ne!(captured.code, 0, "{}", captured.complaint());
    }
    scene.works();
    scene.over();
}

#[test]
fn a_callee_that_is_killed_ends_the_callers_call() {
    let scene = Scene::new();
    let script = "mkfifo input; (echo 'echo here; exec sleep 1000'; exec sleep 1000) > input & \
                  qrexec-client-vm personal qubes.VMShell < input; echo code $?";
    let argv = ["bulkhead", "run", "work", "--", "sh", "-c", script];
    let call = scene.start(&argv, "");
    call.prints("here").unwrap();
    scene.ok(&["bulkhead", "kill", "personal"]);
    call.prints("code ").unwrap();
    call.kill();
    scene.works();
    scene.over();
}

#[test]
fn a_guest_that_dies_by_itself_is_halted_and_starts_again() {
    let scene = Scene::new();
    let call = scene.call("work", "exec sleep 1000");
    scene
        .fixture
        .kill_process("bulkhead-local-guest", "work")
        .unwrap();
    assert_ne!(call.finish().unwrap().code, 0);
    scene.works();
    scene.over();
}

#[test]
fn a_guest_that_never_answers_is_given_up_with_its_last_words() {
    let folder = TempDir::new().unwrap();
    let agent = folder.path().join("agent");
    fs::write(
        &agent,
        "#!/bin/sh\necho 'the agent is lost in thought' >&2\nexec sleep 1000\n",
    )
    .unwrap();
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
    let scene = Scene::with(FixtureOptions {
        desktop: false,
        settings: "[defaults]\nqrexec_timeout = 2".into(),
        replaced: vec![("qrexec-agent".into(), agent)],
        ..FixtureOptions::default()
    });
    let (code, complaint) = scene.fails(&["bulkhead", "start", "work"]);
    assert_eq!(code, 1);
    assert!(complaint.contains("within 2 s"), "{complaint}");
    assert!(
        complaint.contains("the agent is lost in thought"),
        "{complaint}"
    );
    assert_eq!(
        scene
            .domains()
            .into_iter()
            .find(|d| d.name == "work")
            .unwrap()
            .state,
        "Halted"
    );
    scene.over();
}
