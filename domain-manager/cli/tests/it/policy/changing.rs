// SPDX-License-Identifier: GPL-3.0-or-later
//! Changing policy files by the command.

use super::{POLICY, machine, verdict};
use crate::fixture::Fixture;

const OWN: &str = "etc/bulkhead/policy.d/30-user.policy";
const KNOWN: [&str; 2] = ["--system", "system.json"];

fn change(fixture: &Fixture, words: &[&str]) -> String {
    fixture.run(&[&["policy"], words, &KNOWN].concat())
}

fn own(fixture: &Fixture) -> String {
    std::fs::read_to_string(fixture.path(OWN)).unwrap()
}

/// What the last command left behind of the copy for an editor.
fn copies(fixture: &Fixture) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(fixture.path("")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let copy = |path: &std::path::PathBuf| path.to_string_lossy().contains("bulkhead-policy-");
    paths.filter(copy).collect()
}

/// The number of the process is not the same every time.
fn without_number(told: &str) -> String {
    let mut text = String::new();
    for (n, part) in told.split("bulkhead-policy-").enumerate() {
        let number = if n == 0 { 0 } else { part.find('/').unwrap() };
        text.push_str(if n == 0 { "" } else { "bulkhead-policy-N" });
        text.push_str(&part[number..]);
    }
    text
}

#[test]
fn a_file_is_edited_and_what_that_changes_is_shown() {
    let mut fixture = machine();
    fixture.editor(r#"sed -i 's/untrusted @anyvm deny/untrusted @anyvm deny notify=no/' "$1""#);
    insta::assert_snapshot!(change(&fixture, &["edit"]), @r"
    deny  ⇒  deny, silently
      was qubes.Filecopy * untrusted @anyvm deny   $ROOT/etc/bulkhead/policy.d/30-user.policy:3
      now qubes.Filecopy * untrusted @anyvm deny notify=no   $ROOT/etc/bulkhead/policy.d/30-user.policy:3
        qubes.Filecopy: untrusted → @default, @dispvm, disp-base, personal, untrusted, work and 1 more

    Decisions that change: 7, of 120.
    Written: $ROOT/etc/bulkhead/policy.d/30-user.policy. It is live.
    ");
    assert!(own(&fixture).starts_with("# Files go where they are safe.\n"));
    assert_eq!(copies(&fixture), Vec::<std::path::PathBuf>::new());
    fixture.editor("true");
    insta::assert_snapshot!(change(&fixture, &["edit", "30-user.policy"]), @"Nothing was changed.");
    fixture.editor("exit 3");
    insta::assert_snapshot!(change(&fixture, &["edit"]), @r"
    ! error: the editor `sh $ROOT/editor` failed: exit status: 3
    ! hint: the policy is as it was
    [exit code 1]
    ");
    assert_eq!(copies(&fixture), Vec::<std::path::PathBuf>::new());
    fixture.editor("echo '# Half done.' >> $1; exit 3");
    insta::assert_snapshot!(without_number(&change(&fixture, &["edit"])), @r"
    ! error: the editor `sh $ROOT/editor` failed: exit status: 3
    ! hint: the policy is as it was; your text is in $ROOT/bulkhead-policy-N/30-user.policy
    [exit code 1]
    ");
}

#[test]
fn an_edit_that_makes_no_sense_changes_nothing_and_is_not_lost() {
    let mut fixture = machine();
    fixture.editor(r#"sed -i 's/personal allow/personal alow/' "$1""#);
    let told = change(&fixture, &["edit", "30-user"]);
    insta::assert_snapshot!(without_number(&told), @r"
    ! error: the policy has an error and cannot go live
    !
    ! error: expected `allow`, `deny` or `ask`, found `alow`
    !  --> $ROOT/etc/bulkhead/policy.d/30-user.policy:2:32
    !   |
    ! 2 | qubes.Filecopy * work personal alow
    !   |                                ^^^^ not an action
    !   |
    !   = note: a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`
    !   = help: did you mean `allow`?
    !
    ! hint: nothing is lost: your text is in $ROOT/bulkhead-policy-N/30-user.policy; change it there, and then `bulkhead policy edit 30-user.policy --from $ROOT/bulkhead-policy-N/30-user.policy`
    [exit code 1]
    ");
    assert_eq!(own(&fixture), POLICY);
    let copy = copies(&fixture).remove(0).join("30-user.policy");
    let edited = std::fs::read_to_string(&copy).unwrap();
    assert!(edited.contains("personal alow"), "{edited}");
    // Going on from there.
    std::fs::write(&copy, edited.replace("alow", "allow notify=yes")).unwrap();
    let told = change(
        &fixture,
        &["edit", "30-user", "--from", copy.to_str().unwrap()],
    );
    assert!(told.ends_with("30-user.policy. It is live.\n"), "{told}");
    assert!(own(&fixture).contains("allow notify=yes"));
}

#[test]
fn an_edit_that_fails_a_test_changes_nothing() {
    let mut fixture = machine();
    fixture.editor(r#"sed -i 's/personal allow/personal deny/' "$1""#);
    let told = change(&fixture, &["edit"]);
    assert!(
        told.contains("expected `allow`, the policy says `deny`"),
        "{told}"
    );
    assert!(
        told.contains("hint: nothing is lost: your text is in"),
        "{told}"
    );
    assert_eq!(own(&fixture), POLICY);
}

#[test]
fn a_file_that_somebody_else_changes_meanwhile_is_not_overwritten() {
    let mut fixture = machine();
    let other = fixture.path(OWN);
    let script = format!(
        "echo 's * work work deny' >> \"$1\"; echo '# mine' >> {}",
        other.display()
    );
    fixture.editor(&script);
    let told = change(&fixture, &["edit"]);
    assert!(
        told.contains("30-user.policy was changed meanwhile"),
        "{told}"
    );
    assert_eq!(own(&fixture), format!("{POLICY}# mine\n"));
}

#[test]
fn what_somebody_else_makes_live_meanwhile_stays_live() {
    let mut fixture = machine();
    let _ = fixture.run(&["policy", "apply", "-m", "as shipped"]);
    let other = fixture.path("etc/bulkhead/policy.d/40-other.policy");
    let program = env!("CARGO_BIN_EXE_bulkhead");
    fixture.editor(&format!(
        "echo 'other.Service * work personal allow' > {}\n{program} policy apply -m theirs > theirs\n\
         echo 'own.Service * work personal allow' >> $1\n",
        other.display()
    ));
    let told = change(&fixture, &["edit", "30-user", "-m", "mine"]);
    assert!(told.contains("Generation 3 is live"), "{told}");
    assert!(!told.contains("other.Service"), "{told}");
    for service in ["own.Service", "other.Service"] {
        let told = change(&fixture, &["explain", "work", "personal", service]);
        assert!(told.starts_with("allow"), "{service}: {told}");
    }
    assert!(!fixture.run(&["policy", "status"]).contains("is another"));
}

#[test]
fn of_many_who_change_a_file_at_once_each_is_told_the_truth() {
    let fixture = machine();
    let _ = fixture.run(&["policy", "apply", "-m", "as shipped"]);
    let rules: Vec<_> = (0..6)
        .map(|n| format!("s{n} * work personal allow"))
        .collect();
    let add = |rule: &str| {
        let told = change(&fixture, &["add", rule, "-m", "mine"]);
        let done = told.contains(" is live; rules: ");
        assert!(done || told.contains("meanwhile"), "{told}");
        done.then(|| rule.to_owned())
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = rules.iter().map(|rule| scope.spawn(|| add(rule))).collect();
        let all = all.into_iter();
        all.filter_map(|one| one.join().unwrap()).collect()
    });
    assert!(!done.is_empty());
    let text = own(&fixture);
    for rule in &rules {
        assert_eq!(text.contains(rule), done.contains(rule), "{rule}: {text}");
    }
    assert!(!fixture.run(&["policy", "status"]).contains("is another"));
}

#[test]
fn a_new_file_is_made_where_none_is() {
    let mut fixture = machine();
    fixture.editor(r#"echo 'my.Service * work personal ask' >> "$1""#);
    let told = change(&fixture, &["new", "40-office"]);
    insta::assert_snapshot!(told, @r"
    warning: the rule asks, but none of its callers is on anybody's screen
     --> $ROOT/etc/bulkhead/policy.d/40-office.policy:4:1
      |
    4 | my.Service * work personal ask
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write `allow` or `deny`; callers without a `guivm` are refused unasked

    deny  ⇒  ask personal, work
      was no rule
      now my.Service * work personal ask   $ROOT/etc/bulkhead/policy.d/40-office.policy:4
        my.Service: work → personal

    Decisions that change: 1, of 160.
    Written: $ROOT/etc/bulkhead/policy.d/40-office.policy. It is live.
    ");
    let made = std::fs::read_to_string(fixture.path("etc/bulkhead/policy.d/40-office.policy"));
    insta::assert_snapshot!(made.unwrap(), @r"
    # What these rules are for.
    #
    # SERVICE  ARGUMENT  SOURCE  TARGET  ACTION
    my.Service * work personal ask
    ");
    insta::assert_snapshot!(change(&fixture, &["new", "40-office"]), @r"
    ! error: `40-office.policy` is there already
    ! hint: `bulkhead policy edit 40-office` changes it
    [exit code 1]
    ");
    insta::assert_snapshot!(change(&fixture, &["new", "Office"]), @r"
    ! error: `Office.policy` cannot name a policy file
    ! hint: name it with `0-9`, `a-z`, `_`, `.` and `-`
    [exit code 2]
    ");
    insta::assert_snapshot!(change(&fixture, &["edit", "40-ofice"]), @r"
    ! error: there is no `40-ofice` in $ROOT/etc/bulkhead/policy.d
    ! hint: did you mean `40-office`?
    [exit code 1]
    ");
    insta::assert_snapshot!(change(&fixture, &["edit", "../30-user"]), @r"
    ! error: `../30-user` is no file of $ROOT/etc/bulkhead/policy.d
    ! hint: name it as in that directory, such as `30-user` or `include/NAME`
    [exit code 2]
    ");
}

#[test]
fn a_new_file_that_nobody_reads_by_itself_is_told_so() {
    let fixture = machine();
    fixture.write("text", "# Nothing yet.\n");
    let told = change(&fixture, &["new", "42-x.rules", "--from", "text"]);
    assert!(
        told.contains("! warning: `42-x.rules` counts only where another file includes it"),
        "{told}"
    );
    let told = change(&fixture, &["new", "42-x.test", "--from", "text"]);
    assert!(!told.contains("warning"), "{told}");
}

#[test]
fn a_rule_is_put_where_it_takes_effect() {
    let fixture = machine();
    let rule = "qubes.Filecopy * untrusted work ask";
    let told = change(&fixture, &["add", rule, "--comment", "For the invoices."]);
    insta::assert_snapshot!(told, @r"
    qubes.Filecopy * untrusted work ask   $ROOT/etc/bulkhead/policy.d/30-user.policy:4

    warning: the rule asks, but none of its callers is on anybody's screen
     --> $ROOT/etc/bulkhead/policy.d/30-user.policy:4:1
      |
    4 | qubes.Filecopy * untrusted work ask
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write `allow` or `deny`; callers without a `guivm` are refused unasked

    deny  ⇒  ask untrusted, work
      was qubes.Filecopy * untrusted @anyvm deny   $ROOT/etc/bulkhead/policy.d/30-user.policy:3
      now qubes.Filecopy * untrusted work ask   $ROOT/etc/bulkhead/policy.d/30-user.policy:4
        qubes.Filecopy: untrusted → work

    Decisions that change: 1, of 120.
    Written: $ROOT/etc/bulkhead/policy.d/30-user.policy. It is live.
    ");
    insta::assert_snapshot!(own(&fixture), @r"
    # Files go where they are safe.
    qubes.Filecopy * work personal allow
    # For the invoices.
    qubes.Filecopy * untrusted work ask
    qubes.Filecopy * untrusted @anyvm deny
    qubes.OpenInVM * @anyvm @dispvm allow
    ");
    assert_eq!(verdict(&fixture, "untrusted", "work"), "ask");
    insta::assert_snapshot!(change(&fixture, &["add", "my.Service", "+", "work", "vault", "allow"]), @r"
    my.Service + work vault allow   $ROOT/etc/bulkhead/policy.d/30-user.policy:7

    warning: there is no domain `vault`
     --> $ROOT/etc/bulkhead/policy.d/30-user.policy:7:19
      |
    7 | my.Service + work vault allow
      |                   ^^^^^

    No decision changes, of 200.
    Written: $ROOT/etc/bulkhead/policy.d/30-user.policy. It is live.
    ");
    // That another rule names it as well is no reason to keep quiet.
    let other = change(
        &fixture,
        &["add", "my.Other", "*", "work", "vault", "allow"],
    );
    assert_eq!(
        other.matches("there is no domain `vault`").count(),
        1,
        "{other}"
    );
}

#[test]
fn a_rule_that_others_stand_before_is_told_so() {
    let fixture = machine();
    let rule = "qubes.Filecopy * untrusted work allow";
    insta::assert_snapshot!(change(&fixture, &["add", rule, "--last", "--dry-run"]), @r"
    qubes.Filecopy * untrusted work allow   $ROOT/etc/bulkhead/policy.d/30-user.policy:5
      after qubes.Filecopy * untrusted @anyvm deny   $ROOT/etc/bulkhead/policy.d/30-user.policy:3

    warning: the rule decides no call: an earlier one takes them all
     --> $ROOT/etc/bulkhead/policy.d/30-user.policy:5:1
      |
    5 | qubes.Filecopy * untrusted work allow
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
    note: by $ROOT/etc/bulkhead/policy.d/30-user.policy:3
     --> $ROOT/etc/bulkhead/policy.d/30-user.policy:3:1
      |
    3 | qubes.Filecopy * untrusted @anyvm deny
      | --------------------------------------

    No decision changes, of 120.
    Nothing was written.
    ");
    assert_eq!(own(&fixture), POLICY);
    let told = change(
        &fixture,
        &["add", "s * work vault allow", "--before", "30-user:99"],
    );
    insta::assert_snapshot!(told, @r"
    ! error: there is no place for the rule
    ! caused by: `30-user.policy` has no line 99
    [exit code 1]
    ");
    insta::assert_snapshot!(change(&fixture, &["add", "s * work vault alow"]), @r"
    ! error: the rule has an error
    !
    ! error: expected `allow`, `deny` or `ask`, found `alow`
    !  --> RULE:1:16
    !   |
    ! 1 | s * work vault alow
    !   |                ^^^^ not an action
    !   |
    !   = note: a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`
    !   = help: did you mean `allow`?
    !
    [exit code 2]
    ");
}

#[test]
fn a_rule_is_taken_out_by_its_place_or_its_words() {
    let fixture = machine();
    let told = change(&fixture, &["remove", "30-user:4", "--dry-run"]);
    insta::assert_snapshot!(told, @r"
    without qubes.OpenInVM * @anyvm @dispvm allow   30-user.policy:4

    ! error: the policy does not meet its expectations
    !
    ! error: expected `allow`, the policy says `deny`
    !  --> $ROOT/etc/bulkhead/policy.d/30-user.test:8:1
    !   |
    ! 8 | untrusted -> @dispvm   qubes.OpenInVM  allow target=@dispvm:disp-base
    !   | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ no rule allows the call
    !   |
    !   = note: no rule decided
    !
    ! hint: what was live still is; the domain manager does not tell of domains, so that only tests that declare their own can pass: start it, or change the policy or its tests
    [exit code 1]
    ");
    let told = change(
        &fixture,
        &["remove", "qubes.Filecopy  *  work personal allow"],
    );
    assert!(
        told.contains("expected `allow`, the policy says `deny`"),
        "{told}"
    );
    assert_eq!(own(&fixture), POLICY);
    std::fs::remove_file(fixture.path("etc/bulkhead/policy.d/30-user.test")).unwrap();
    let told = change(
        &fixture,
        &["remove", "qubes.Filecopy", "*", "work", "personal", "allow"],
    );
    insta::assert_snapshot!(told, @r"
    without qubes.Filecopy * work personal allow   30-user.policy:2

    allow  ⇒  deny
      was qubes.Filecopy * work personal allow   $ROOT/etc/bulkhead/policy.d/30-user.policy:2
      now no rule
        qubes.Filecopy: work → personal

    Decisions that change: 1, of 120.
    Written: $ROOT/etc/bulkhead/policy.d/30-user.policy. It is live.
    ");
    assert_eq!(
        own(&fixture),
        POLICY.replace("qubes.Filecopy * work personal allow\n", "")
    );
    insta::assert_snapshot!(change(&fixture, &["remove", "30-user:1"]), @r"
    ! error: there is no rule on line 1 of `30-user.policy`
    [exit code 1]
    ");
    insta::assert_snapshot!(change(&fixture, &["remove", "a * b c deny"]), @r"
    ! error: there is no rule `a * b c deny`
    ! hint: name it by its place: FILE:LINE
    [exit code 1]
    ");
}

#[test]
fn with_a_message_the_change_is_live_as_a_generation() {
    let fixture = machine();
    let public = fixture.run(&["policy", "new-key", "owner.key"]);
    fixture.write("etc/bulkhead/policy-keys/owner.pub", &public);
    let rule = "qubes.Filecopy * untrusted work ask";
    let told = change(&fixture, &["add", rule, "-m", "invoices"]);
    assert!(
        told.contains("no owner has signed for 30-user.policy"),
        "{told}"
    );
    assert_eq!(own(&fixture), POLICY);
    let told = change(
        &fixture,
        &["add", rule, "-m", "invoices", "--sign", "owner.key"],
    );
    assert!(
        told.contains("Generation 1 is live; rules: 4, SHA-256: "),
        "{told}"
    );
    assert_eq!(verdict(&fixture, "untrusted", "work"), "ask");
    // From now on the working copy alone decides nothing.
    let told = change(&fixture, &["remove", rule]);
    assert!(
        told.ends_with("`bulkhead policy apply -m WHY` makes it live.\n"),
        "{told}"
    );
    assert_eq!(verdict(&fixture, "untrusted", "work"), "ask");
    let rule = "my.Service * work personal ask";
    let told = change(
        &fixture,
        &["add", rule, "-m", "more", "--sign", "owner.key"],
    );
    assert!(told.contains("Decisions that change: "), "{told}");
    assert_eq!(verdict(&fixture, "untrusted", "work"), "deny");
}

#[test]
fn another_directory_is_changed_without_touching_the_systems_own() {
    let fixture = machine();
    fixture.write("repository/30-user.policy", POLICY);
    let words = ["add", "s * work personal allow", "--policy", "repository"];
    let told = change(&fixture, &words);
    assert!(
        told.ends_with("Written: repository/30-user.policy.\n"),
        "{told}"
    );
    assert_eq!(own(&fixture), POLICY);
}

#[test]
fn an_older_generation_is_taken_back_into_the_working_copy() {
    let fixture = machine();
    let _ = change(
        &fixture,
        &["add", "my.Service * work personal allow", "-m", "one"],
    );
    let first = own(&fixture);
    let rule = "my.Service * personal work allow";
    let _ = change(&fixture, &["add", rule, "-m", "two"]);
    // What is in no generation is not overwritten.
    let more = "etc/bulkhead/policy.d/50-more.policy";
    fixture.write(more, "# Not applied.\n");
    let told = fixture.run(&["policy", "rollback", "--to-files"]);
    assert!(told.contains("in no generation: 50-more.policy"), "{told}");
    let told = fixture.run(&["policy", "apply", "-m", "three"]);
    assert!(told.starts_with("Generation 3 is live"), "{told}");
    let told = fixture.run(&["policy", "rollback", "1", "--to-files"]);
    assert!(
        told.ends_with("The working copy is like it now: 30-user.policy, 50-more.policy.\n"),
        "{told}"
    );
    assert_eq!(own(&fixture), first);
    assert!(!fixture.path(more).exists());
    let told = fixture.run(&["policy", "rollback", "1", "--to-files"]);
    assert!(
        told.ends_with("The working copy was like it already.\n"),
        "{told}"
    );
}
