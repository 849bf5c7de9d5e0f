// SPDX-License-Identifier: GPL-3.0-or-later
//! The pool is full.

use testkit::FixtureOptions;

use crate::scene::Scene;

/// A scene whose pool is a small file system of its own, which only the manager and what it
/// starts see. It goes with them.
fn small(options: &str) -> Scene {
    let mount = format!(
        "mkdir -p \"$BULKHEAD_ROOT/var/lib/bulkhead/pool\" && \
         mount -t tmpfs -o {options} small \"$BULKHEAD_ROOT/var/lib/bulkhead/pool\" && \
         exec \"$@\""
    );
    let wrapper = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        &mount,
        "sh",
    ];
    Scene::with(FixtureOptions {
        desktop: false,
        manager_wrapper: wrapper.map(str::to_owned).to_vec(),
        ..FixtureOptions::default()
    })
}

#[test]
fn a_file_that_does_not_fit_is_named_and_leaves_no_part_of_itself() {
    let scene = small("size=4m");
    let copy =
        "head -c 8000000 /dev/zero | tr '\\0' x > /tmp/big; exec bulkhead-copy personal /tmp/big";
    let (code, complaint) = scene.fails(&["bulkhead", "run", "work", "--", "sh", "-c", copy]);
    assert_eq!(code, 28, "the number of the error that says so");
    assert!(
        complaint.contains("the disk of personal is full at `big`"),
        "{complaint}"
    );
    let listed = scene.ok(&[
        "bulkhead",
        "run",
        "personal",
        "--",
        "ls",
        "-A",
        "QubesIncoming/work",
    ]);
    assert_eq!(listed, "");
    scene.works();
    scene.over();
}

#[test]
fn a_domain_that_does_not_fit_is_not_there() {
    let scene = small("size=4m,nr_inodes=60");
    let fill = "i=0; while touch f$i 2> /dev/null; do i=$((i+1)); done";
    scene.ok(&["bulkhead", "run", "work", "--", "sh", "-c", fill]);
    let create = [
        "bulkhead",
        "create",
        "bank",
        "--template",
        "debian",
        "--label",
        "green",
    ];
    let (code, complaint) = scene.fails(&create);
    assert_eq!(code, 1);
    assert!(complaint.contains("no space left on device"), "{complaint}");
    assert!(!scene.domains().iter().any(|domain| domain.name == "bank"));

    let (_, complaint) = scene.fails(&["bulkhead", "start", "personal"]);
    assert!(complaint.contains("no space left on device"), "{complaint}");
    let state = |name: &str| {
        scene
            .domains()
            .into_iter()
            .find(|d| d.name == name)
            .unwrap()
            .state
    };
    assert_eq!(state("personal"), "Halted");
    assert_eq!(state("work"), "Running");
    scene.ok(&["bulkhead", "run", "work", "--", "sh", "-c", "rm -f f*"]);
    scene.works();
    scene.over();
}
