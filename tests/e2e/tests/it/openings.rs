// SPDX-License-Identifier: GPL-3.0-or-later
//! Opening a file in a disposable: what becomes of changes and of exit codes.

use e2e::desktop::{Desktop, Wanted, Window};
use testkit::{FixtureOptions, Running};

use crate::scene::Scene;

const RED: u32 = 0xcc0000;

/// A letter of untrusted, shown in a disposable.
struct Opened {
    scene: Scene,
    call: Running,
    window: Window,
}

impl Opened {
    fn new(option: &str) -> Self {
        let scene = Scene::with(FixtureOptions::default());
        let script = format!(
            "echo before > letter.txt; bulkhead-open {option} letter.txt; \
             echo code $?; cat letter.txt"
        );
        let call = scene.start(
            &["bulkhead", "run", "untrusted", "--", "sh", "-c", &script],
            "",
        );
        let wanted = Wanted::Framed {
            domain: None,
            title: "letter.txt".into(),
            color: RED,
        };
        let mut windows = desktop(&scene)
            .wait(&wanted, scene.fixture.patience())
            .unwrap();
        let window = windows.remove(0);
        Self {
            scene,
            call,
            window,
        }
    }

    /// Runs a command beside the viewer. It may end the disposable, and with it its own call.
    fn in_disposable(&self, script: &str) {
        let domain = &self.window.domain;
        let argv = ["bulkhead", "run", domain, "--", "sh", "-c", script];
        let _ = self.scene.run(&argv);
    }

    fn close(&self) {
        desktop(&self.scene).close(self.window.id).unwrap();
    }

    /// What the caller was told, and what is in the file then.
    fn ends(self) -> String {
        let printed = self.call.finish().unwrap().text();
        self.scene
            .ok(&["domain-probe", "gone", &self.window.domain, "60"]);
        self.scene.over();
        printed
    }
}

fn desktop(scene: &Scene) -> Desktop {
    Desktop::connect(Some(&scene.fixture.display().unwrap().name)).unwrap()
}

#[test]
fn what_was_changed_in_the_disposable_comes_back() {
    let opened = Opened::new("--disposable");
    opened.in_disposable("echo after | tee -a /tmp/untrusted-*/letter.txt");
    opened.close();
    assert_eq!(opened.ends(), "code 0\nbefore\nafter\n");
}

#[test]
fn a_file_for_viewing_only_does_not_come_back() {
    let opened = Opened::new("--view-only");
    opened.in_disposable("cd /tmp/untrusted-*; chmod u+w letter.txt; echo after >> letter.txt");
    opened.close();
    assert_eq!(opened.ends(), "code 0\nbefore\n");
}

#[test]
fn the_viewers_exit_code_comes_back() {
    let opened = Opened::new("");
    opened.in_disposable("pkill -KILL xterm");
    assert_eq!(opened.ends(), "code 137\nbefore\n");
}

#[test]
fn what_was_changed_comes_back_from_a_viewer_that_failed_too() {
    let opened = Opened::new("");
    opened.in_disposable("echo after | tee -a /tmp/untrusted-*/letter.txt; pkill -KILL xterm");
    assert_eq!(opened.ends(), "code 0\nbefore\nafter\n");
}

#[test]
fn a_disposable_that_is_killed_ends_the_call_and_nothing_is_taken() {
    let opened = Opened::new("");
    opened
        .scene
        .ok(&["bulkhead", "kill", &opened.window.domain]);
    let printed = opened.ends();
    assert!(
        printed.ends_with("\nbefore\n") && !printed.starts_with("code 0\n"),
        "{printed}"
    );
}
