// SPDX-License-Identifier: GPL-3.0-or-later
//! A domain that keeps a policy file of dom0, as far as the policy lets it.

use std::fs;
use std::os::unix::fs::symlink;

use bulkhead_types::Layout;
use testkit::{FixtureOptions, Programs};

use crate::scene::{POLICY, Scene};

const DELEGATED: &str = "\
policy.List     +         work  @adminvm  allow
policy.Get      +30-user  work  @adminvm  allow
policy.Replace  +30-user  work  @adminvm  allow
policy.EvalSimple        +qubes.Filecopy  work  @adminvm  allow
policy.RegisterArgument  +my.Perform      work  @anyvm    allow target=dom0
";

/// The services of dom0 where they lie on an installed machine.
fn install(scene: &Scene) {
    let program = Programs::beside_this_test().find("policy-admin").unwrap();
    let folder = scene.fixture.folder().join("etc/qubes-rpc");
    fs::create_dir_all(&folder).unwrap();
    for service in [
        "policy.List",
        "policy.Get",
        "policy.Replace",
        "policy.Remove",
        "policy.RegisterArgument",
    ] {
        symlink(&program, folder.join(service)).unwrap();
    }
    let layout = Layout::below(scene.fixture.folder());
    let evaluation = layout.policy_evaluation_socket("policy.EvalSimple");
    symlink(evaluation, folder.join("policy.EvalSimple")).unwrap();
}

#[test]
fn a_domain_keeps_the_file_that_was_left_to_it_and_no_other() {
    let mut options = FixtureOptions {
        desktop: false,
        ..FixtureOptions::default()
    };
    options
        .policies
        .push(("20-admin.policy".into(), DELEGATED.into()));
    let scene = Scene::with(options);
    install(&scene);
    let work = |script: &str| {
        let told = scene.run(&["bulkhead", "run", "work", "--", "sh", "-c", script]);
        (told.code, told.text())
    };
    let call = "qrexec-client-vm dom0";
    let (code, names) = work(&format!("{call} policy.List"));
    assert_eq!((code, &*names), (0, "20-admin\n30-user\n90-default\n"));
    let (_, before) = work(&format!("{call} policy.Get+30-user"));
    let (token, text) = before.split_once('\n').unwrap();
    assert_eq!(text, POLICY);
    scene.works();

    // Its own word from now on: no copies to `personal`.
    let changed = POLICY.replace("work       personal  allow", "work       personal  deny");
    let replace = |name: &str, token: &str, text: &str| {
        work(&format!(
            "printf '%s\\n%s' '{token}' '{text}' | {call} policy.Replace+{name}"
        ))
        .0
    };
    assert_eq!(replace("30-user", token, &changed), 0);
    scene.policy_is_live();
    let copy = [
        "bulkhead",
        "run",
        "work",
        "--",
        "bulkhead-copy",
        "personal",
        "n.txt",
    ];
    assert_eq!(scene.fails(&copy).0, 126);

    // What would be said to others; about services that it was not given it may not ask.
    let evaluate = |about: &str, names: &str| {
        let names = names.replace(' ', "\\0");
        work(&format!(
            "printf '{names}' | {call} policy.EvalSimple+{about}"
        ))
    };
    let denied = (0, "result=deny\n".to_owned());
    assert_eq!(evaluate("qubes.Filecopy", "work personal"), denied);
    assert_eq!(evaluate("qubes.Filecopy", "personal work").0, 0);
    assert_eq!(evaluate("qubes.OpenInVM", "work @dispvm").0, 126);

    // An argument that it handed out.
    let register = "printf one | qrexec-client-vm personal policy.RegisterArgument+my.Perform";
    assert_eq!(work(register).0, 0);
    scene.policy_is_live();
    let rules = scene.ok(&["bulkhead", "policy", "who-can", "my.Perform+one"]);
    assert!(rules.contains("personal"), "{rules}");

    // An older token, a text that is none, and files that were not left to it.
    assert_eq!(replace("30-user", token, POLICY), 1);
    assert_eq!(replace("30-user", "any", "what?\n"), 1);
    assert_eq!(replace("20-admin", "any", "* * * * allow\n"), 126);
    let remove = format!("printf any | {call} policy.Remove+30-user");
    assert_eq!(work(&remove).0, 126);

    // Who it was, and the way back.
    let log = scene.ok(&["bulkhead", "policy", "log"]);
    assert!(
        log.contains("  work\n  policy.Replace of 30-user.policy\n"),
        "{log}"
    );
    let audit = scene.ok(&["bulkhead", "policy", "audit", "event=act", "by=work"]);
    assert!(audit.contains("apply by work: generation 2 at "), "{audit}");
    scene.ok(&["bulkhead", "policy", "rollback", "1"]);
    scene.works();
    scene.over();
}
