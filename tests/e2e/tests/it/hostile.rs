// SPDX-License-Identifier: GPL-3.0-or-later
//! A guest that sends garbage on its vchans loses its own session and nothing else.

use std::fs;

use testkit::{FixtureOptions, Log, Programs};

use crate::scene::Scene;

/// The guest's own record of what it did, as dom0 sees it in the pool.
fn report(scene: &Scene) -> Log {
    let home = scene
        .fixture
        .layout()
        .pool()
        .join("untrusted/private.run/home/user");
    Log::at(home.join("report")).unwrap()
}

/// Puts the program into untrusted and lets it run there by itself.
fn unleash(scene: &Scene, arguments: &str) {
    let program = Programs::beside_this_test().find("hostile-guest").unwrap();
    let bytes = fs::read(program).unwrap();
    let store = "cat > hostile && chmod +x hostile && : > report";
    let argv = ["bulkhead", "run", "untrusted", "--", "sh", "-c", store];
    let captured = scene.start_with(&argv, bytes).finish().unwrap();
    assert_eq!(captured.code, 0, "{}", captured.complaint());
    let script = format!("setsid ./hostile {arguments} > report 2>&1 < /dev/null &");
    // It ends the agent that carries this call, maybe before the call's own end.
    let _ = scene.run(&["bulkhead", "run", "untrusted", "--", "sh", "-c", &script]);
}

/// The other domains work while the attack runs and after it.
fn survive(scene: Scene, sessions: &str) {
    scene.works();
    let report = report(&scene);
    let done = |text: &str| {
        text.lines()
            .any(|line| line == "done")
            .then(|| text.to_owned())
    };
    let told = report
        .wait_for("done", scene.fixture.patience(), done)
        .unwrap();
    assert!(
        told.contains(sessions) && !told.contains("error:"),
        "{told}\n{}",
        scene.fixture.logs()
    );
    // Dom0's daemon comes less and less often to a guest that breaks the protocol.
    assert!(
        told.matches("sent Ok").count() >= 3,
        "{told}\n{}",
        scene.fixture.logs()
    );
    scene.works();

    // The domain itself is back after a restart at the latest.
    scene.ok(&["bulkhead", "kill", "untrusted"]);
    assert_eq!(
        scene.ok(&["bulkhead", "run", "untrusted", "--", "echo", "again"]),
        "again\n"
    );
    scene.over();
}

#[test]
fn garbage_on_the_control_channel_ends_that_session_alone() {
    let scene = Scene::new();
    scene.works();
    unleash(&scene, "garbage 512 8");
    survive(scene, "session 7: ");
}

#[test]
fn garbage_on_the_windows_channel_ends_that_session_alone() {
    let scene = Scene::with(FixtureOptions::default());
    scene.works();
    unleash(&scene, "garbage 6000 8");
    survive(scene, "session 7: ");
}

#[test]
fn garbage_on_a_data_channel_ends_that_call_with_an_error() {
    let scene = Scene::new();
    scene.works();
    unleash(&scene, "calls 8");
    // Once with its agent, once with the other one.
    scene.agent_met("untrusted", 2);
    for _ in 0..8 {
        let (code, complaint) = scene.fails(&["bulkhead", "run", "untrusted", "--", "true"]);
        assert!(code >= 125, "{code}: {complaint}");
    }
    survive(scene, "call 7: ");
}
