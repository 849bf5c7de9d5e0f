// SPDX-License-Identifier: GPL-3.0-or-later
//! An administrator's day: a policy of many years is taken over, changed, held against its own
//! expectations, activated under a signature, and asked afterwards what happened.

use std::fs;

use testkit::FixtureOptions;

use crate::scene::Scene;

/// As such a directory looks on a machine that has grown.
const FILES: [(&str, &str); 4] = [
    (
        "20-admin.policy",
        "!include include/admin-global-ro\n\
         admin.vm.List  *  @tag:mgmt  @adminvm  allow target=@adminvm\n",
    ),
    ("include/admin-global-ro", "## Nobody yet.\n"),
    (
        "40-office.policy",
        "## Office\n\n\
         # Papers go to personal, nothing comes back.\n\
         qubes.Filecopy    *  work      personal   allow\n\
         qubes.Filecopy    *  personal  work       deny notify=no\n\
         my.Report         *  work      @tag:desk  ask default_target=personal\n\
         my.Report         *  @anyvm    @anyvm     deny\n",
    ),
    (
        "40-office.test",
        "domain work      AppVM\n\
         domain personal  AppVM tags=desk\n\
         domain untrusted AppVM\n\n\
         work      -> personal  qubes.Filecopy  allow\n\
         personal  -> work      qubes.Filecopy  deny\n\
         untrusted -> personal  qubes.Filecopy  ask\n",
    ),
];

fn grown() -> Scene {
    let files = FILES.map(|(name, text)| (name.to_owned(), text.to_owned()));
    Scene::with(FixtureOptions {
        desktop: false,
        policies: files.into(),
        ..FixtureOptions::default()
    })
}

#[test]
fn a_grown_policy_is_taken_over_changed_signed_and_accounted_for() {
    let scene = grown();
    let policy = |words: &[&str]| scene.ok(&[&["bulkhead", "policy"], words].concat());
    let stopped = |words: &[&str]| scene.fails(&[&["bulkhead", "policy"], words].concat());

    // It loads, does what its tests say, and can be looked at.
    assert!(policy(&["check"]).contains("The policy is valid; rules: "));
    assert!(policy(&["test"]).contains("Expectations met: 3, not met: 0; files: 1."));
    let picture = policy(&["graph", "qubes.Filecopy", "--format", "dot"]);
    assert!(picture.contains("label=\"untrusted\""), "{picture}");
    let svg = policy(&["graph"]);
    assert!(svg.starts_with("<svg") && svg.contains("personal"));

    // From now on nothing counts that its owner has not signed.
    let key = scene.fixture.folder().join("owner.key");
    let key = key.to_str().unwrap();
    let public = policy(&["new-key", key]);
    let keys = scene.fixture.layout().policy_keys();
    fs::create_dir_all(&keys).unwrap();
    fs::write(keys.join("owner.pub"), public).unwrap();
    let (code, complaint) = stopped(&["apply", "-m", "as found"]);
    assert!(
        code == 1 && complaint.contains("no owner has signed"),
        "{complaint}"
    );
    let told = policy(&["apply", "-m", "as found", "--sign", key]);
    assert!(told.starts_with("Generation 1 is live"), "{told}");

    // The wrong change is stopped by the test that stands beside the policy.
    let signed = ["-m", "no papers from untrusted", "--sign", key];
    let wrong = ["add", "qubes.Filecopy * personal work ask"];
    let (code, complaint) = stopped(&[&wrong[..], &signed].concat());
    assert_eq!(code, 1);
    for part in ["40-office.test:6", "expected `deny`, the policy says `ask`"] {
        assert!(complaint.contains(part), "{complaint}");
    }
    // The right one says exactly what it changes, and is live at once.
    let right = ["add", "qubes.Filecopy * untrusted work deny"];
    let told = policy(&[&right[..], &signed].concat());
    // Where `untrusted` is asked where to, `work` is no choice any more.
    let expected = [
        "  ⇒  deny\n",
        "qubes.Filecopy: untrusted → work",
        "Decisions that change: 8, of ",
        "Generation 2 is live",
    ];
    for part in expected {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = policy(&["diff", "@1", "@2"]);
    assert!(told.contains("Decisions that change: 8, of "), "{told}");

    // Somebody complains: a call is refused. Why, and what would allow it?
    let call = "echo 'echo answered' | qrexec-client-vm work qubes.VMShell";
    let call = ["bulkhead", "run", "personal", "--", "sh", "-c", call];
    assert_eq!(scene.fails(&call).0, 126);
    let told = policy(&["explain", "personal", "work", "qubes.VMShell"]);
    assert!(
        told.starts_with("deny\n") && told.contains("90-default.policy:"),
        "{told}"
    );
    assert!(
        told.contains("to allow  qubes.VMShell + personal work allow"),
        "{told}"
    );
    // For ten minutes, once it is wanted; then no more.
    let grant = ["grant", "personal", "work", "qubes.VMShell", "--for", "10m"];
    assert!(policy(&grant).starts_with("Granted: 1  personal -> work qubes.VMShell; ends in "));
    assert_eq!(scene.ok(&call), "answered\n");
    policy(&["revoke", "1"]);
    assert_eq!(scene.fails(&call).0, 126);

    // The ledger has it all, and proves that it was not written afterwards.
    let calls = policy(&["audit", "event=decision", "service=qubes.VMShell"]);
    let verdicts: Vec<_> = calls
        .lines()
        .filter(|line| line.contains("personal -> work"))
        .filter_map(|line| line.split_whitespace().nth(3))
        .collect();
    assert_eq!(verdicts, ["deny", "allow", "deny"], "{calls}");
    assert!(
        calls.contains("grant 1") && calls.contains("generation 2"),
        "{calls}"
    );
    // What dom0 did itself is there too, and where its time went.
    let calls = scene.ok(&["bulkhead", "trace", "personal"]);
    let own = calls.lines().filter(|line| line.contains("dom0"));
    assert_eq!(
        own.filter(|line| line.contains("qubes.VMExec+sh+")).count(),
        3,
        "{calls}"
    );
    let acts = policy(&["audit", "event=act"]);
    let acts: Vec<_> = acts.lines().collect();
    for (act, what) in acts.iter().zip([
        ": generation 1 at ",
        ": generation 2 at ",
        "grant by ",
        "grant-ended by ",
    ]) {
        assert!(act.contains(what), "{what}: {acts:#?}");
    }
    let copy = scene.fixture.folder().join("ledger-copy");
    let copy = copy.to_str().unwrap();
    policy(&["audit", "export", "--to", copy]);
    let told = policy(&["audit", "verify", "--ledger", copy]);
    assert!(
        told.starts_with("The ledger is as it was written"),
        "{told}"
    );
    let record = std::path::Path::new(copy).join("decisions.jsonl");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replacen("\"deny\"", "\"allow\"", 1)).unwrap();
    let (code, _) = stopped(&["audit", "verify", "--ledger", copy]);
    assert_eq!(code, 1);
    scene.over();
}
