// SPDX-License-Identifier: GPL-3.0-or-later
//! What faults do to windows.

use e2e::desktop::{Desktop, Wanted, Window};
use testkit::{FixtureOptions, Running};

use crate::scene::Scene;

const BLUE: u32 = 0x3465a4;

fn desktop(scene: &Scene) -> Desktop {
    Desktop::connect(Some(&scene.fixture.display().unwrap().name)).unwrap()
}

fn framed(scene: &Scene) -> Window {
    let wanted = Wanted::Framed {
        domain: Some("work".into()),
        title: "[work] ".into(),
        color: BLUE,
    };
    let mut windows = desktop(scene)
        .wait(&wanted, scene.fixture.patience())
        .unwrap();
    windows.remove(0)
}

fn terminal(scene: &Scene) -> Running {
    let argv = ["bulkhead", "run", "--gui", "work", "--", "xterm"];
    scene.start(&argv, "")
}

#[test]
fn windows_are_framed_again_after_their_daemon_was_killed() {
    let scene = Scene::with(FixtureOptions::default());
    let terminal = terminal(&scene);
    let before = framed(&scene);
    scene.fixture.kill_process("gui-daemon", "work").unwrap();
    scene.gui_met("work", 2);
    let after = framed(&scene);
    assert_eq!((after.width, after.height), (before.width, before.height));

    desktop(&scene).close(after.id).unwrap();
    assert_eq!(
        terminal.finish().unwrap().code,
        0,
        "the program ended because it was closed"
    );
    scene.works();
    scene.over();
}

#[test]
fn the_windows_of_a_killed_domain_go() {
    let scene = Scene::with(FixtureOptions::default());
    let terminal = terminal(&scene);
    framed(&scene);
    scene.ok(&["bulkhead", "kill", "work"]);
    let gone = Wanted::NoneOf {
        domain: "work".into(),
    };
    desktop(&scene)
        .wait(&gone, scene.fixture.patience())
        .unwrap();
    assert_ne!(terminal.finish().unwrap().code, 0);
    scene.works();
    scene.over();
}

#[test]
fn programs_outlive_a_killed_agent_and_their_windows_return() {
    let scene = Scene::with(FixtureOptions::default());
    let terminal = terminal(&scene);
    framed(&scene);
    scene.ok(&[
        "bulkhead",
        "run",
        "work",
        "--",
        "pkill",
        "-KILL",
        "bulkhead-gui",
    ]);
    scene.gui_met("work", 2);
    let window = framed(&scene);
    desktop(&scene).close(window.id).unwrap();
    assert_eq!(terminal.finish().unwrap().code, 0);
    scene.over();
}
