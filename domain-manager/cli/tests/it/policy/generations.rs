// SPDX-License-Identifier: GPL-3.0-or-later
//! Which policy is live: applied, signed for, and taken back.

use super::{POLICY, TESTS, machine, verdict};

#[test]
fn a_generation_is_live_whole_and_an_older_one_can_be_again() {
    let fixture = machine();
    assert_eq!(
        fixture.run(&["policy", "status"]),
        "No generation was applied; what lies in the policy directories is live.\n"
    );
    let told = fixture.run(&["policy", "apply", "-m", "as shipped"]);
    assert!(
        told.starts_with("Generation 1 is live; rules: 3, SHA-256: "),
        "{told}"
    );
    // A change of the working copy changes nothing until it is applied.
    let changed = POLICY.replace("work personal allow", "work personal deny");
    fixture.write("etc/bulkhead/policy.d/30-user.policy", &changed);
    assert_eq!(verdict(&fixture, "work", "personal"), "allow");
    let told = fixture.run(&["policy", "status"]);
    assert!(
        told.contains("The working copy is another: 30-user.policy."),
        "{told}"
    );
    let told = fixture.run(&["policy", "diff", "@live", "--system", "system.json"]);
    assert!(told.contains("Decisions that change: 1, "), "{told}");

    // The test stops the version that its author did not mean.
    let told = fixture.run(&["policy", "apply", "-m", "wrong"]);
    assert!(
        told.contains("! error: the policy does not meet its expectations"),
        "{told}"
    );
    assert!(
        told.contains("expected `allow`, the policy says `deny`"),
        "{told}"
    );
    assert_eq!(verdict(&fixture, "work", "personal"), "allow");

    let tests = TESTS
        .replace("allow target=personal", "deny")
        .replace("ask", "deny");
    fixture.write("etc/bulkhead/policy.d/30-user.test", &tests);
    let told = fixture.run(&["policy", "apply", "-m", "no more"]);
    assert!(told.starts_with("Generation 2 is live"), "{told}");
    assert_eq!(verdict(&fixture, "work", "personal"), "deny");
    let told = fixture.run(&["policy", "diff", "@1", "@2", "--system", "system.json"]);
    assert!(told.contains("Decisions that change: 1, "), "{told}");
    let log = fixture.run(&["policy", "log"]);
    assert!(
        log.starts_with("2  live  ") && log.contains("\n  as shipped\n"),
        "{log}"
    );

    assert!(
        fixture
            .run(&["policy", "rollback"])
            .starts_with("Generation 1 is live")
    );
    assert_eq!(verdict(&fixture, "work", "personal"), "allow");
    let told = fixture.run(&["policy", "rollback"]);
    assert!(
        told.contains("there is no generation before the live one"),
        "{told}"
    );
}

#[test]
fn where_keys_are_configured_only_what_is_signed_for_is_live() {
    let fixture = machine();
    let public = fixture.run(&["policy", "new-key", "owner.key"]);
    fixture.write("etc/bulkhead/policy-keys/owner.pub", &public);
    insta::assert_snapshot!(fixture.run(&["policy", "status"]), @r"
    No generation was applied, and nothing else counts where keys are configured: `bulkhead policy apply -m WHY --sign KEY` makes the working copy live.
    Files are signed for by owner.
    ");
    let told = fixture.run(&["status"]);
    let problem = "problem: the live policy has errors: keys are configured, and no generation";
    assert!(told.contains(problem), "{told}");
    // Neither the working copy nor an unsigned generation.
    let words = [
        "policy",
        "explain",
        "work",
        "personal",
        "qubes.Filecopy",
        "--system",
        "system.json",
    ];
    let told = fixture.run(&words);
    assert!(
        told.contains("keys are configured, and no generation of the policy is signed"),
        "{told}"
    );
    let told = fixture.run(&["policy", "apply", "-m", "unsigned"]);
    assert!(
        told.contains("no owner has signed for 30-user.policy"),
        "{told}"
    );
    let told = fixture.run(&["policy", "apply", "-m", "signed", "--sign", "owner.key"]);
    assert!(told.starts_with("Generation 1 is live"), "{told}");
    assert_eq!(verdict(&fixture, "work", "personal"), "allow");
    assert!(fixture.run(&["policy", "log"]).contains("signed by owner"));
    // A run-time replacement is not signed for, and counts for nothing.
    fixture.write("run/bulkhead/policy.d/30-user.policy", "* * * * allow\n");
    assert_eq!(verdict(&fixture, "untrusted", "personal"), "deny");
    // Whoever alters what was signed has no policy.
    let live = "var/lib/bulkhead/policy/generations/000001/files/30-user.policy";
    fixture.write(live, "* * * * allow\n");
    let told = fixture.run(&words);
    assert!(
        told.contains("generation 1 is damaged: `30-user.policy` was altered"),
        "{told}"
    );
}

#[test]
fn owners_sign_where_their_keys_are() {
    let fixture = machine();
    let policy = |words: &[&str]| fixture.run(&[&["policy"], words].concat());
    for (name, owns) in [("alice", "30-*"), ("bob", "90-*")] {
        let public = policy(&["new-key", &format!("{name}.key")]);
        let path = format!("etc/bulkhead/policy-keys/{name}.pub");
        fixture.write(&path, &format!("{public}{owns}\n"));
    }
    let default = "etc/bulkhead/policy.d/90-default.policy";
    fixture.write(default, "* * * * deny\n");
    let told = policy(&["apply", "-m", "for both", "--propose", "next"]);
    assert!(
        told.starts_with("Generation 1 is proposed in next"),
        "{told}"
    );
    let told = policy(&["sign", "next", "--key", "alice.key"]);
    assert!(told.starts_with("Signed: generation 1 of "), "{told}");
    let told = policy(&["apply", "--proposal", "next"]);
    assert!(
        told.contains("no owner has signed for 90-default.policy")
            && told.contains("hint: their owners sign it: `bulkhead policy sign next --key KEY`"),
        "{told}"
    );
    // Bob looks first, and signs nothing else than what he sees.
    let directory = ["--policy", "etc/bulkhead/policy.d"];
    let sign = [&["sign", "next", "--key", "bob.key"][..], &directory].concat();
    fixture.write(default, "* * * * allow\n");
    let told = policy(&sign);
    assert!(
        told.contains("the proposal is of another 90-default.policy"),
        "{told}"
    );
    let told = policy(&["apply", "--proposal", "next"]);
    assert!(
        told.contains("the files are not those that were proposed"),
        "{told}"
    );
    fixture.write(default, "* * * * deny\n");
    assert!(policy(&sign).starts_with("Signed: generation 1 of "));
    let told = policy(&["apply", "--proposal", "next"]);
    assert!(told.starts_with("Generation 1 is live"), "{told}");
    assert!(policy(&["log"]).contains("signed by alice, bob\n  for both\n"));
    // A proposal is good once.
    let told = policy(&["apply", "--proposal", "next"]);
    assert!(
        told.contains("another generation was applied meanwhile"),
        "{told}"
    );
}

#[test]
fn a_generation_has_a_reason_and_waits_for_the_one_before() {
    let fixture = machine();
    insta::assert_snapshot!(fixture.run(&["policy", "apply", "-m", " "]), @r"
    ! error: the log needs a reason
    ! hint: say why: `-m WHY`
    [exit code 2]
    ");
    let told = fixture.run(&["policy", "edit", "-m", ""]);
    assert!(
        told.contains("a value is required for '--message <MESSAGE>'"),
        "{told}"
    );
    let _ = fixture.run(&["policy", "apply", "-m", "first"]);
    let lock = std::fs::File::open(fixture.path("var/lib/bulkhead/policy/lock")).unwrap();
    lock.lock().unwrap();
    for verb in [&["apply", "-m", "second"][..], &["rollback", "1"]] {
        insta::allow_duplicates! {
            insta::assert_snapshot!(fixture.run(&[&["policy"], verb].concat()), @r"
            ! error: the policy stays as it was
            ! caused by: another command is changing the policy
            ! hint: do it again when that is done
            [exit code 1]
            ");
        }
    }
}

#[test]
fn programs_are_told_in_json_what_is_live() {
    let fixture = machine();
    let json = |words: &[&str]| -> serde_json::Value {
        let told = fixture.run(&[&["policy"], words, &["--json"]].concat());
        serde_json::from_str(&told).unwrap()
    };
    let tried = json(&["apply", "-m", "first", "--dry-run"]);
    assert_eq!(
        (&tried["generation"], &tried["live"]),
        (&1.into(), &false.into())
    );
    let first = json(&["apply", "-m", "first"]);
    assert_eq!(
        (&first["generation"], &first["live"]),
        (&1.into(), &true.into())
    );
    let _ = json(&["apply", "-m", "second"]);
    assert_eq!(json(&["rollback"]), first);
    assert_eq!(json(&["status"])["sha256"], first["sha256"]);
}

#[test]
fn a_proposal_takes_the_place_of_another_and_of_nothing_else() {
    let fixture = machine();
    let policy = |words: &[&str]| fixture.run(&[&["policy"], words].concat());
    let _ = policy(&["new-key", "key"]);
    let _ = policy(&["apply", "-m", "one", "--propose", "next"]);
    let _ = policy(&["sign", "next", "--key", "key"]);
    assert!(fixture.path("next.sig").exists());
    let told = policy(&["apply", "-m", "two", "--propose", "next"]);
    assert!(
        told.starts_with("Generation 1 is proposed in next"),
        "{told}"
    );
    // Nobody has signed this one.
    assert!(!fixture.path("next.sig").exists());
    let rules = "etc/bulkhead/policy.d/30-user.policy";
    insta::assert_snapshot!(policy(&["apply", "-m", "two", "--propose", rules]), @r"
    ! error: etc/bulkhead/policy.d/30-user.policy is there, and is no proposal
    ! hint: name another file
    [exit code 1]
    ");
}

#[test]
fn old_generations_lose_their_files_and_stay_in_the_log() {
    let fixture = machine();
    fixture.write(
        "etc/bulkhead/policyd.toml",
        "[generations]\nkeep = 2\ndays = 0\n",
    );
    for version in 1..=4 {
        let rule = format!("s{version} * work personal allow\n");
        fixture.write("etc/bulkhead/policy.d/40-more.policy", &rule);
        let message = format!("number {version}");
        let told = fixture.run(&["policy", "apply", "-m", &message]);
        assert!(
            told.starts_with(&format!("Generation {version} is live")),
            "{told}"
        );
    }
    let log = fixture.run(&["policy", "log"]);
    let heads: Vec<_> = log.lines().step_by(3).collect();
    let pruned: Vec<_> = heads
        .iter()
        .map(|head| head.contains("  pruned 2"))
        .collect();
    assert_eq!(pruned, [false, false, true, true], "{log}");
    assert!(log.contains("\n  number 1\n"), "{log}");
    let json = fixture.run(&["policy", "log", "--format", "json"]);
    let entries: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(
        entries[1]["pruned"].is_null() && entries[3]["pruned"].is_string(),
        "{json}"
    );
    insta::assert_snapshot!(fixture.run(&["policy", "rollback", "1"]), @r"
    ! error: the policy stays as it was
    ! caused by: the files of generation 1 are no longer kept: it was pruned
    ! hint: `bulkhead policy log` lists those there are
    [exit code 1]
    ");
    let told = fixture.run(&["policy", "diff", "@1", "@4", "--system", "none"]);
    assert!(told.contains("it was pruned"), "{told}");
    assert!(
        fixture
            .run(&["policy", "rollback"])
            .starts_with("Generation 3 is live")
    );
    // A setting that makes no sense takes nothing away, and stops nobody.
    fixture.write("etc/bulkhead/policyd.toml", "[generations]\nkeep = many\n");
    let told = fixture.run(&["policy", "apply", "-m", "number 5"]);
    assert!(told.contains("Generation 5 is live"), "{told}");
    assert!(
        told.contains("old generations keep their files for now"),
        "{told}"
    );
}

/// The policy daemon would not take it: it reads nothing that no signature covers.
#[test]
fn where_owners_sign_older_files_cannot_be_brought_in() {
    let fixture = machine();
    fixture.write("etc/bulkhead/policy.d/35-compat.policy", "!compat-4.0\n");
    fixture.write("etc/qubes-rpc/policy/my.Old", "work personal allow\n");
    let told = fixture.run(&["policy", "apply", "-m", "nobody signs"]);
    assert!(told.contains("Generation 1 is live"), "{told}");
    let key = fixture.path("owner.key").display().to_string();
    let public = fixture.run(&["policy", "new-key", &key]);
    fixture.write("etc/bulkhead/policy-keys/owner.pub", &public);
    let apply = ["policy", "apply", "-m", "signed", "--sign", &key];
    let told = fixture.run(&apply);
    insta::assert_snapshot!(told, @r"
    ! error: the policy stays as it was
    ! caused by: it includes what is not part of it, so nobody can sign for that: the files of `!compat-4.0`, in $ROOT/etc/bulkhead/policy.d/35-compat.policy:1
    ! hint: delete the line `!compat-4.0` if the older files are not needed; else put them into the policy directory, say as `include/SERVICE`, and in its place write `!include-service SERVICE * include/SERVICE` for each
    [exit code 1]
    ");
    let propose = ["policy", "apply", "-m", "signed", "--propose", "next.json"];
    assert_eq!(fixture.run(&propose), told);
    assert!(!fixture.path("next.json").exists());
    std::fs::remove_file(fixture.path("etc/bulkhead/policy.d/35-compat.policy")).unwrap();
    assert!(fixture.run(&apply).contains("Generation 2 is live"));
}
