// SPDX-License-Identifier: GPL-3.0-or-later
//! A policy with an error, and none at all.

use std::fs;

use crate::scene::{POLICY, Scene};

#[test]
fn a_policy_with_an_error_never_goes_live_and_the_last_good_one_stays() {
    let scene = Scene::new();
    scene.works();
    let [_, folder] = scene.fixture.layout().policy_dirs();
    let rules = folder.join("30-user.policy");
    fs::write(
        &rules,
        POLICY.replace("work       personal  allow", "work       personal  alow"),
    )
    .unwrap();

    let (code, complaint) = scene.fails(&["bulkhead", "policy", "check"]);
    assert_eq!(code, 1);
    let caret = complaint
        .lines()
        .find(|line| line.contains("^^^^"))
        .unwrap();
    let line = complaint
        .lines()
        .find(|line| line.contains("alow") && line.contains('|'))
        .unwrap();
    assert_eq!(caret.find("^^^^"), line.find("alow"), "{complaint}");
    assert!(complaint.contains("30-user.policy:1:"), "{complaint}");

    scene.works();
    fs::write(&rules, "").unwrap();
    scene.policy_is_live();
    assert_eq!(refused(&scene), 126);
    fs::write(&rules, POLICY).unwrap();
    scene.policy_is_live();
    scene.works();
    scene.over();
}

#[test]
fn no_policy_at_all_means_no() {
    let mut scene = Scene::new();
    scene.works();
    let [_, folder] = scene.fixture.layout().policy_dirs();
    fs::remove_dir_all(&folder).unwrap();
    scene
        .fixture
        .end_daemon("policyd", nix::sys::signal::Signal::SIGTERM)
        .unwrap();
    scene.fixture.start_daemon("policyd").unwrap();
    assert_eq!(refused(&scene), 126);
    scene.over();
}

fn refused(scene: &Scene) -> i32 {
    scene
        .fails(&[
            "bulkhead",
            "run",
            "work",
            "--",
            "bulkhead-copy",
            "personal",
            "n.txt",
        ])
        .0
}
