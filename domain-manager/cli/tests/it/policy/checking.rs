// SPDX-License-Identifier: GPL-3.0-or-later
//! What is wrong with a policy, by its text, in its domains and by its own expectations.

use super::{POLICY, TESTS, offline};
use crate::fixture::Fixture;

#[test]
fn a_policy_with_an_error_is_shown_with_line_and_caret() {
    let fixture = offline();
    fixture.write(
        "policy/40-bad.policy",
        "qubes.Filecopy * work personal alow\n",
    );
    insta::assert_snapshot!(fixture.run(&["policy", "check", "--policy", "policy"]), @r#"
    ! error: the policy has an error and cannot go live
    !
    ! error: expected `allow`, `deny` or `ask`, found `alow`
    !  --> policy/40-bad.policy:1:32
    !   |
    ! 1 | qubes.Filecopy * work personal alow
    !   |                                ^^^^ not an action
    !   |
    !   = note: a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`
    !   = help: did you mean `allow`?
    !
    ! hint: the last good policy stays live; without one, every call is refused
    [exit code 1]
    "#);
}

#[test]
fn a_good_policy_is_counted() {
    insta::assert_snapshot!(offline().run(&["policy", "check", "--policy", "policy"]), @r#"The policy is valid; rules: 3, files: 1."#);
}

#[test]
fn an_expectation_that_is_not_met_is_shown_with_the_rule_that_decided() {
    let fixture = offline();
    fixture.write("policy/30-user.test", TESTS);
    insta::assert_snapshot!(fixture.run(&["policy", "test", "--policy", "policy"]), @r"
    error: expected `ask`, the policy says `deny`
     --> policy/30-user.test:7:1
      |
    7 | untrusted -> personal  qubes.Filecopy  ask
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ a rule denies the call
      |
      = note: decided by policy/30-user.policy:3: `qubes.Filecopy * untrusted @anyvm deny`

    Expectations met: 2, not met: 1; files: 1.
    [exit code 1]
    ");
    fixture.write("policy/30-user.test", &TESTS.replace("ask", "deny"));
    insta::assert_snapshot!(fixture.run(&["policy", "test", "--policy", "policy"]), @"Expectations met: 3, not met: 0; files: 1.");
    fixture.write("mine.test", "work -> personal qubes.Filecopy allow\n");
    let words = [
        "policy",
        "test",
        "mine.test",
        "--policy",
        "policy",
        "--system",
        "system.json",
    ];
    insta::assert_snapshot!(fixture.run(&[&words[..], &["--format", "json"]].concat()), @r#"
    {
      "passed": 1,
      "failed": 0,
      "files": [
        {
          "file": "mine.test",
          "expectations": 1,
          "failures": []
        }
      ]
    }
    "#);
}

#[test]
fn files_are_laid_out_where_they_are_and_checked_without_touching_them() {
    let fixture = offline();
    let check = ["policy", "fmt", "--check", "--policy", "policy"];
    insta::assert_snapshot!(fixture.run(&check), @r"
    policy/30-user.policy
    [exit code 1]
    ");
    assert_eq!(
        std::fs::read_to_string(fixture.path("policy/30-user.policy")).unwrap(),
        POLICY
    );
    insta::assert_snapshot!(fixture.run(&["policy", "fmt", "--policy", "policy"]), @"Laid out policy/30-user.policy.");
    let laid_out = std::fs::read_to_string(fixture.path("policy/30-user.policy")).unwrap();
    insta::assert_snapshot!(laid_out, @r"
    # Files go where they are safe.
    qubes.Filecopy  *  work       personal  allow
    qubes.Filecopy  *  untrusted  @anyvm    deny
    qubes.OpenInVM  *  @anyvm     @dispvm   allow
    ");
    assert_eq!(fixture.run(&check), "");
    let piped = fixture.run_with(&["policy", "fmt", "-"], POLICY.as_bytes());
    assert_eq!(piped, laid_out);
}

#[test]
fn line_ends_of_windows_are_named_when_they_go() {
    let fixture = offline();
    fixture.write("windows.policy", &POLICY.replace('\n', "\r\n"));
    insta::assert_snapshot!(fixture.run(&["policy", "fmt", "windows.policy"]), @"Laid out windows.policy, with line ends LF instead of CRLF.");
    let laid_out = std::fs::read_to_string(fixture.path("windows.policy")).unwrap();
    assert!(!laid_out.contains('\r'), "{laid_out:?}");
    assert_eq!(fixture.run(&["policy", "fmt", "windows.policy"]), "");
}

#[test]
fn a_file_with_errors_is_left_as_it_is_and_the_others_are_laid_out() {
    let fixture = offline();
    let bad = "qubes.Filecopy   * work personal alow\ns * work\n";
    fixture.write("bad.policy", bad);
    fixture.write("qubes.Old", "$anyvm  $dispvm  allow\n");
    // What is included is a file of its own, there or not.
    fixture.write(
        "good.policy",
        "!include   there/or/not\n!compat-4.0\ns  *  a  b  deny\n",
    );
    let files = ["bad.policy", "qubes.Old", "good.policy", "missing.policy"];
    insta::assert_snapshot!(fixture.run(&[&["policy", "fmt"], &files[..]].concat()), @r"
    Laid out good.policy.
    ! error: bad.policy has 2 errors and is left as it is
    !
    ! error: expected `allow`, `deny` or `ask`, found `alow`
    !  --> bad.policy:1:34
    !   |
    ! 1 | qubes.Filecopy   * work personal alow
    !   |                                  ^^^^ not an action
    !   |
    !   = note: a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`
    !   = help: did you mean `allow`?
    !
    ! error: expected a target, found the end of the line
    !  --> bad.policy:2:1
    !   |
    ! 2 | s * work
    !   | ^^^^^^^^ 3 of 5 fields
    !   |
    !   = note: a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`
    !
    ! error: qubes.Old is left as it is: it looks like an old-style policy file, for the service `qubes.Old`
    ! hint: only files with `SERVICE ARGUMENT SOURCE TARGET ACTION` in a line are laid out
    ! error: cannot read missing.policy
    ! caused by: no such file or directory
    [exit code 1]
    ");
    let text = |name: &str| std::fs::read_to_string(fixture.path(name)).unwrap();
    assert_eq!(text("bad.policy"), bad);
    assert_eq!(text("qubes.Old"), "$anyvm  $dispvm  allow\n");
    assert!(text("good.policy").starts_with("!include there/or/not\n"));
    let piped = fixture.run_with(&["policy", "fmt", "-"], bad.as_bytes());
    assert!(
        piped.starts_with("! error: standard input has 2 errors"),
        "{piped}"
    );
    assert!(piped.ends_with("[exit code 1]\n"), "{piped}");
}

#[test]
fn a_file_of_the_older_style_is_known_as_one_and_can_be_checked_as_one() {
    let fixture = offline();
    fixture.write(
        "old/qubes.Filecopy",
        "# Older.\n$tag:t $anyvm ask,default_target=work\n$anyvm  $anyvm  allow,user=root\n",
    );
    fixture.write("old/qubes.Gpg+key", "work vault alow\n");
    fixture.write("old/my policy", "work vault allow\n");
    insta::assert_snapshot!(fixture.run(&["policy", "check", "old/qubes.Filecopy"]), @r"
    ! error: the policy cannot be read
    !
    ! error: `old/qubes.Filecopy` looks like an old-style policy file, for the service `qubes.Filecopy`
    !  |
    !  = help: `bulkhead policy check --old-style FILE` reads it as one; a policy brings such files in with `!compat-4.0`, or one of them with `!include-service SERVICE ARGUMENT FILE`
    !
    [exit code 1]
    ");
    let check = ["policy", "check", "--old-style", "old/qubes.Filecopy"];
    insta::assert_snapshot!(fixture.run(&check), @"The policy is valid; rules: 2, files: 1.");
    insta::assert_snapshot!(fixture.run(&[&check[..], &["old/qubes.Gpg+key"]].concat()), @r"
    ! error: the policy has an error and cannot go live
    !
    ! error: expected `allow`, `deny` or `ask`, found `alow`
    !  --> old/qubes.Gpg+key:1:12
    !   |
    ! 1 | work vault alow
    !   |            ^^^^ not an action
    !   |
    !   = note: a rule in a file of `!include-service` is `SOURCE TARGET ACTION [KEY=VALUE …]`
    !   = help: did you mean `allow`?
    !
    ! hint: the last good policy stays live; without one, every call is refused
    [exit code 1]
    ");
    insta::assert_snapshot!(fixture.run(&[&check[..], &["old/my policy", "policy/30-user.policy"]].concat()), @r"
    ! error: the policy cannot be read
    !
    ! error: `old/my policy` is not named after a service
    !  |
    !  = help: `!compat-4.0` would pass over it
    !
    ! error: `policy/30-user.policy` does not lie beside the others
    !  |
    !  = help: check one directory at a time
    !
    [exit code 1]
    ");
}

#[test]
fn diagnostics_for_programs_have_places() {
    let fixture = offline();
    fixture.write(
        "a/30-user.policy",
        "s * work vault alow\n!include b\nx * wörk vault deny\n",
    );
    fixture.write("a/b", "s * work\n");
    let words = ["policy", "check", "--policy", "a", "--format", "json"];
    insta::assert_snapshot!(fixture.run(&words), @r#"
    {
      "valid": false,
      "rules": 0,
      "files": 2,
      "diagnostics": [
        {
          "severity": "error",
          "code": null,
          "message": "expected `allow`, `deny` or `ask`, found `alow`",
          "file": "a/30-user.policy",
          "line": 1,
          "column": 16,
          "end": 20,
          "label": "not an action",
          "notes": [
            {
              "message": "a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`",
              "file": null,
              "line": null,
              "column": null,
              "end": null
            }
          ],
          "help": "did you mean `allow`?",
          "replacement": "allow"
        },
        {
          "severity": "error",
          "code": "fields",
          "message": "expected a target, found the end of the line",
          "file": "a/b",
          "line": 1,
          "column": 1,
          "end": 9,
          "label": "3 of 5 fields",
          "notes": [
            {
              "message": "a rule is `SERVICE ARGUMENT SOURCE TARGET ACTION [KEY=VALUE …]`",
              "file": null,
              "line": null,
              "column": null,
              "end": null
            },
            {
              "message": "included from a/30-user.policy:2",
              "file": "a/30-user.policy",
              "line": 2,
              "column": 1,
              "end": 11
            }
          ],
          "help": null,
          "replacement": null
        },
        {
          "severity": "warning",
          "code": null,
          "message": "no domain can be called `wörk`: the rule never matches",
          "file": "a/30-user.policy",
          "line": 3,
          "column": 5,
          "end": 9,
          "label": "",
          "notes": [
            {
              "message": "a domain name holds letters, digits, `_`, `.` and `-`, not 'ö'",
              "file": null,
              "line": null,
              "column": null,
              "end": null
            }
          ],
          "help": null,
          "replacement": null
        }
      ]
    }
    [exit code 1]
    "#);
}

#[test]
fn lint_is_told_with_the_lines_and_fails_only_when_strict() {
    let fixture = offline();
    fixture.write(
        "policy/20-first.policy",
        "qubes.Filecopy * work @anyvm deny\nqubes.VMShell * @anyvm vault allow\n",
    );
    let check = [
        "policy",
        "check",
        "--policy",
        "policy",
        "--system",
        "system.json",
    ];
    insta::assert_snapshot!(fixture.run(&[&check[..], &["--strict"]].concat()), @r"
    warning: every domain may call `qubes.VMShell`, which runs any program, without being asked
     --> policy/20-first.policy:2:1
      |
    2 | qubes.VMShell * @anyvm vault allow
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: name the callers, or write `ask`

    warning: there is no domain `vault`
     --> policy/20-first.policy:2:24
      |
    2 | qubes.VMShell * @anyvm vault allow
      |                        ^^^^^

    warning: the rule decides no call: an earlier one takes them all
     --> policy/30-user.policy:2:1
      |
    2 | qubes.Filecopy * work personal allow
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
    note: by policy/20-first.policy:1
     --> policy/20-first.policy:1:1
      |
    1 | qubes.Filecopy * work @anyvm deny
      | ---------------------------------

    The policy is valid; rules: 5, files: 2.
    [exit code 1]
    ");
    assert!(!fixture.run(&check).contains("exit code"));
    let files = ["policy", "check", "policy/30-user.policy"];
    insta::assert_snapshot!(fixture.run(&files), @"The policy is valid; rules: 3, files: 1.");
}

#[test]
fn older_files_are_found_from_a_directory_that_is_named_from_here() {
    let fixture = Fixture::alone();
    fixture.write("etc/qubes/policy.d/35-compat.policy", "!compat-4.0\n");
    fixture.write("etc/qubes-rpc/policy/old.Service", "$anyvm $anyvm ask\n");
    for directory in ["etc/qubes/policy.d", "etc/qubes/policy.d/../policy.d"] {
        let told = fixture.run(&["policy", "check", "--policy", directory]);
        assert!(
            told.starts_with("The policy is valid; rules: 1, "),
            "{told}"
        );
    }
}
