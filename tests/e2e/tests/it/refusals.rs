// SPDX-License-Identifier: GPL-3.0-or-later
//! What cannot be done is refused in words, and leaves nothing behind.

use std::fs;

use insta::assert_snapshot;
use testkit::{Fixture, FixtureOptions};

use crate::scene::Scene;

/// Complaints without the back end's standing warning.
fn told(complaint: &str) -> String {
    let lines = complaint
        .lines()
        .filter(|line| !line.starts_with("warning:"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_domain_needs_a_template_a_free_name_and_a_label() {
    let scene = Scene::new();
    let create = |name, template, label| {
        let argv = [
            "bulkhead",
            "create",
            name,
            "--template",
            template,
            "--label",
            label,
        ];
        told(&scene.fails(&argv).1)
    };
    assert_snapshot!(create("bank", "fedora", "green"), @"
    error: there is no domain `fedora`
    hint: `bulkhead ls` lists the domains there are
    ");
    assert_snapshot!(create("work", "debian", "green"), @"error: there is already a domain `work`");
    assert_snapshot!(create("bank", "debian", "pink").lines().next().unwrap(), @"error: invalid value 'pink' for '--label <LABEL>': there is no label `pink`; labels are red, orange, yellow, green, gray, blue, purple, black");
    assert_snapshot!(create("1st", "debian", "red").lines().next().unwrap(), @"error: invalid value '1st' for '<NAME>': a domain name starts with a letter, not with '1'");
    assert_snapshot!(create("bank", "personal", "red"), @"error: `personal` is of class AppVM; an AppVM is based on a TemplateVM");
    assert!(!scene.domains().iter().any(|domain| domain.name == "bank"));
    scene.over();
}

#[test]
fn a_template_in_use_is_not_removed() {
    let scene = Scene::new();
    assert_snapshot!(told(&scene.fails(&["bulkhead", "remove", "debian"]).1), @"error: domain `debian` is in use: template of disp-base, template of personal, template of untrusted, template of work");
    scene.works();
    assert_snapshot!(told(&scene.fails(&["bulkhead", "remove", "work"]).1), @"error: domain `work` is not halted; run `bulkhead stop work` first");
    scene.over();
}

#[test]
fn without_xen_the_manager_says_what_is_missing() {
    let options = FixtureOptions {
        desktop: false,
        ..FixtureOptions::default()
    };
    let fixture = Fixture::start(&options).unwrap();
    let settings = fixture.layout().settings_file();
    let text = fs::read_to_string(&settings)
        .unwrap()
        .replace("\"local\"", "\"xen\"");
    fs::write(settings, text).unwrap();
    fixture
        .end_daemon("bulkheadd", nix::sys::signal::Signal::SIGTERM)
        .unwrap();
    let captured = fixture.run(&["bulkheadd"]).unwrap();
    assert_eq!(captured.code, 1);
    assert_snapshot!(told(&captured.complaint()), @r#"
    error: cannot open the xen back end
    caused by: this machine's control of Xen is not there: `/proc/xen/capabilities` does not exist
    hint: boot Debian with Xen (`apt install xen-system-amd64`), try it in an emulated machine (`cargo xtask try`), or set `backend = "local"`, which isolates nothing
    "#);
    let (code, complaint) = {
        let captured = fixture.run(&["bulkhead", "ls"]).unwrap();
        (captured.code, captured.complaint())
    };
    assert_eq!(code, 1);
    assert_snapshot!(told(&complaint).replace(&fixture.folder().display().to_string(), "ROOT"), @"
    error: the domain manager cannot be reached at ROOT/run/bulkhead/admin.sock
    caused by: no such file or directory
    hint: start it: `bulkheadd` with the same BULKHEAD_ROOT
    ");
}
