// SPDX-License-Identifier: GPL-3.0-or-later
//! Asking policy, offline.

mod changing;

use crate::fixture::Fixture;

const SYSTEM: &str = r#"{"domains":{
    "dom0":{"type":"AdminVM","power_state":"Running"},
    "work":{"type":"AppVM","power_state":"Running"},
    "personal":{"type":"AppVM","power_state":"Halted"},
    "untrusted":{"type":"AppVM","power_state":"Running","default_dispvm":"disp-base"},
    "disp-base":{"type":"AppVM","power_state":"Halted","template_for_dispvms":true}}}"#;

const POLICY: &str = "\
# Files go where they are safe.
qubes.Filecopy * work personal allow
qubes.Filecopy * untrusted @anyvm deny
qubes.OpenInVM * @anyvm @dispvm allow
";

fn offline() -> Fixture {
    let fixture = Fixture::alone();
    fixture.write("policy/30-user.policy", POLICY);
    fixture.write("system.json", SYSTEM);
    fixture
}

fn explain(fixture: &Fixture, call: &[&str]) -> String {
    let offline = ["--policy", "policy", "--system", "system.json"];
    fixture.run(&[&["policy", "explain"], call, &offline].concat())
}

#[test]
fn a_denial_names_the_rule_with_its_file_and_line() {
    insta::assert_snapshot!(explain(&offline(), &["untrusted", "work", "qubes.Filecopy"]), @r"
    deny
      rule      qubes.Filecopy * untrusted @anyvm deny
                policy/30-user.policy:3
      reason    a rule denies the call
      asked for work
      to allow  qubes.Filecopy + untrusted work allow
                before policy/30-user.policy:3
    ");
}

#[test]
fn a_permission_says_where_the_call_goes() {
    insta::assert_snapshot!(explain(&offline(), &["untrusted", "@dispvm", "qubes.OpenInVM"]), @r"
    allow
      rule      qubes.OpenInVM * @anyvm @dispvm allow
                policy/30-user.policy:4
      asked for @dispvm
      goes to   @dispvm:disp-base
    ");
}

#[test]
fn a_denial_without_a_rule_names_the_nearest_ones() {
    insta::assert_snapshot!(explain(&offline(), &["personal", "work", "qubes.Filecopy"]), @r"
    deny
      reason    no rule allows the call
      asked for work
      near miss qubes.Filecopy * untrusted @anyvm deny
                policy/30-user.policy:3; another source
      near miss qubes.Filecopy * work personal allow
                policy/30-user.policy:2; another target and another source
      to allow  qubes.Filecopy + personal work allow
    ");
}

#[test]
fn programs_get_the_same_as_json() {
    insta::assert_snapshot!(explain(&offline(), &["work", "personal", "qubes.Filecopy+x", "--json"]), @r#"
    {
      "verdict": "allow",
      "reason": null,
      "rule": {
        "file": "policy/30-user.policy",
        "line": 2,
        "text": "qubes.Filecopy * work personal allow"
      },
      "target": "personal",
      "targets": [],
      "default_target": null,
      "user": null,
      "autostart": true,
      "notify": false,
      "requested_target": "personal",
      "relay": null,
      "nearest": [],
      "suggestion": null,
      "remarks": []
    }
    "#);
}

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
fn a_batch_answers_every_line_and_a_bad_one_does_not_end_it() {
    let calls = r#"{"source":"work","target":"personal","service":"qubes.Filecopy"}
{"source":"untrusted","target":"@dispvm","service":"qubes.OpenInVM","argument":"x","id":7}
{"source":"work"}
no json

{"source":"work","target":"@anyvm","service":"s"}
{"source":"","target":"work","service":"s"}
{"source":"work","service":"a b"}
{"source":"work","target":"personal","service":"qubes.Filecopy","argument":"+y"}"#;
    let offline = ["--policy", "policy", "--system", "system.json"];
    let words = [&["policy", "explain", "--batch"], &offline[..]].concat();
    let told = offline_batch(&words, calls.as_bytes());
    insta::assert_snapshot!(told, @r#"
    "allow" "personal" null
    "allow" "@dispvm:disp-base" null 7
    "error" null "the line is no call: missing field `service` at line 1 column 17"
    "error" null "the line is no call: expected ident at line 1 column 2"
    "error" null "the line is no call: EOF while parsing a value at line 2 column 0"
    "deny" null "`@anyvm` is not a target a call can ask for"
    "error" null "`` cannot name a domain"
    "error" null "a service is written with letters, digits, `_`, `-` and `.`, not ' '"
    "allow" "personal" null
    "#);
}

/// What is answered to each line: the verdict, where the call goes, why not, and the id.
fn offline_batch(words: &[&str], input: &[u8]) -> String {
    let told = offline().run_with(words, input);
    let line = |line: &str| {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| answer.get(key).map(|v| format!(" {v}")).unwrap_or_default();
        format!(
            "{}{}{}{}\n",
            text("verdict").trim_start(),
            text("target"),
            text("reason"),
            text("id")
        )
    };
    told.lines().map(line).collect()
}

#[test]
fn a_batch_of_a_hundred_thousand_calls_is_answered_in_order() {
    let call = |n: u32| {
        let target = ["personal", "@dispvm", "vault", "work"][n as usize % 4];
        format!(
            "{{\"source\":\"work\",\"target\":\"{target}\",\"service\":\"qubes.Filecopy\",\"id\":{n}}}\n"
        )
    };
    let input: String = (0..100_000).map(call).collect();
    let words = [
        "policy",
        "explain",
        "--batch",
        "--policy",
        "policy",
        "--system",
        "system.json",
    ];
    let told = offline().run_with(&words, input.as_bytes());
    assert_eq!(told.lines().count(), 100_000);
    for (n, line) in told.lines().enumerate() {
        assert!(line.contains(&format!("\"id\":{n},")), "{line}");
        assert_eq!(line.contains("\"verdict\":\"allow\""), n % 4 == 0, "{line}");
    }
}

#[test]
fn of_a_policy_with_errors_every_call_is_an_error() {
    let fixture = offline();
    fixture.write(
        "policy/40-bad.policy",
        "qubes.Filecopy * work personal alow\n",
    );
    let words = [
        "policy",
        "explain",
        "--policy",
        "policy",
        "--system",
        "system.json",
    ];
    let call = ["work", "personal", "qubes.Filecopy", "--format", "json"];
    let told = fixture.run(&[&words[..], &call].concat());
    assert!(told.contains("\"verdict\": \"error\""), "{told}");
    assert!(
        told.contains("40-bad.policy:1:32: error: expected `allow`"),
        "{told}"
    );
    assert!(told.ends_with("[exit code 1]\n"), "{told}");
    let line = "{\"source\":\"work\",\"target\":\"personal\",\"service\":\"qubes.Filecopy\"}\n";
    let told = fixture.run_with(&[&words[..], &["--batch"]].concat(), line.as_bytes());
    assert!(told.starts_with("{\"verdict\":\"error\""), "{told}");
}

#[test]
fn older_files_lie_beside_the_policy_or_where_the_option_says() {
    let fixture = offline();
    fixture.write("etc/qubes/policy.d/35-compat.policy", "!compat-4.0\n");
    fixture.write(
        "etc/qubes-rpc/policy/my.Old",
        "$anyvm personal allow,user=root\n",
    );
    fixture.write("elsewhere/my.Old", "$anyvm personal deny\n");
    let explain = [
        "policy",
        "explain",
        "work",
        "personal",
        "my.Old",
        "--system",
        "system.json",
    ];
    let policy = ["--policy", "etc/qubes/policy.d"];
    let told = fixture.run(&[&explain[..], &policy].concat());
    assert!(
        told.starts_with("allow") && told.contains("as user   root"),
        "{told}"
    );
    let told = fixture.run(&[&explain[..], &policy, &["--old-policy", "elsewhere"]].concat());
    assert!(told.starts_with("deny"), "{told}");
}

const TESTS: &str = "\
domain work AppVM
domain personal AppVM
domain untrusted AppVM default_dispvm=disp-base
domain disp-base AppVM template_for_dispvms

work      -> personal  qubes.Filecopy  allow target=personal
untrusted -> personal  qubes.Filecopy  ask
untrusted -> @dispvm   qubes.OpenInVM  allow target=@dispvm:disp-base
";

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
fn a_difference_names_the_decisions_and_both_rules() {
    let fixture = offline();
    let changed = POLICY.replace("untrusted @anyvm deny", "untrusted @anyvm ask");
    fixture.write("new/30-user.policy", &changed);
    fixture.write(
        "new/20-first.policy",
        "qubes.Filecopy +x work personal deny\n",
    );
    let diff = |more: &[&str]| {
        let words = ["policy", "diff", "policy", "new", "--system", "system.json"];
        fixture.run(&[&words[..], more].concat())
    };
    insta::assert_snapshot!(diff(&["--exit-code"]), @r"
    deny  ⇒  ask @dispvm:disp-base, disp-base, personal, untrusted, work
      was qubes.Filecopy * untrusted @anyvm deny   policy/30-user.policy:3
      now qubes.Filecopy * untrusted @anyvm ask   new/30-user.policy:3
        qubes.Filecopy, qubes.Filecopy+x: untrusted → @default, @dispvm, disp-base, personal, untrusted, work and 1 more

    allow  ⇒  deny
      was qubes.Filecopy * work personal allow   policy/30-user.policy:2
      now qubes.Filecopy +x work personal deny   new/20-first.policy:1
        qubes.Filecopy+x: work → personal

    Decisions that change: 15, of 160.
    [exit code 1]
    ");
    insta::assert_snapshot!(diff(&["--format", "json"]), @r#"
    {"compared":160,"changed":15,"changes":[
    {"calls":14,"services":[{"service":"qubes.Filecopy","argument":"*"},{"service":"qubes.Filecopy","argument":"+x"}],"sources":["untrusted"],"targets":["@default","@dispvm","disp-base","personal","untrusted","work","@dispvm:disp-base"],"before":{"verdict":"deny","target":null,"targets":[],"default_target":null,"user":null,"autostart":null,"notify":true,"rule":{"file":"policy/30-user.policy","line":3,"text":"qubes.Filecopy * untrusted @anyvm deny"}},"after":{"verdict":"ask","target":null,"targets":["@dispvm:disp-base","disp-base","personal","untrusted","work"],"default_target":null,"user":null,"autostart":true,"notify":false,"rule":{"file":"new/30-user.policy","line":3,"text":"qubes.Filecopy * untrusted @anyvm ask"}}},
    {"calls":1,"services":[{"service":"qubes.Filecopy","argument":"+x"}],"sources":["work"],"targets":["personal"],"before":{"verdict":"allow","target":null,"targets":[],"default_target":null,"user":null,"autostart":true,"notify":false,"rule":{"file":"policy/30-user.policy","line":2,"text":"qubes.Filecopy * work personal allow"}},"after":{"verdict":"deny","target":null,"targets":[],"default_target":null,"user":null,"autostart":null,"notify":true,"rule":{"file":"new/20-first.policy","line":1,"text":"qubes.Filecopy +x work personal deny"}}}
    ]}
    "#);
    let same = [
        "policy",
        "diff",
        "policy",
        "policy/30-user.policy",
        "--system",
        "system.json",
    ];
    insta::assert_snapshot!(fixture.run(&same), @"No decision changes, of 120.");
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
    assert_eq!(fixture.run(&["policy", "fmt", "--policy", "policy"]), "");
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
fn who_may_call_what_is_told_as_lists_tables_and_pictures() {
    let fixture = offline();
    let offline = ["--policy", "policy", "--system", "system.json"];
    let run = |words: &[&str]| fixture.run(&[&["policy"], words, &offline[..]].concat());
    insta::assert_snapshot!(run(&["who-can", "qubes.Filecopy"]), @r"
    WHO   MAY CALL        OF               RULE
    work  qubes.Filecopy  personal  allow  policy/30-user.policy:2
    ");
    for to in [&["--to", "untrusted"][..], &["to", "untrusted"]] {
        let asked = [&["who-can", "qubes.Filecopy"], to].concat();
        assert_eq!(run(&asked), "Nobody.\n");
    }
    insta::assert_snapshot!(run(&["who-can", "qubes.Filecopy", "--format", "json"]), @r#"
    [
      {
        "service": "qubes.Filecopy",
        "argument": "*",
        "source": "work",
        "requested_targets": [
          "personal"
        ],
        "verdict": "allow",
        "target": null,
        "targets": [],
        "default_target": null,
        "user": null,
        "autostart": true,
        "notify": false,
        "rule": {
          "file": "policy/30-user.policy",
          "line": 2,
          "text": "qubes.Filecopy * work personal allow"
        }
      }
    ]
    "#);
    insta::assert_snapshot!(run(&["matrix", "qubes.OpenInVM"]), @r"
               @default  dom0  @dispvm  disp-base  personal  untrusted  work  @dispvm:disp-base
    dom0       ·         ·     ·        ·          ·         ·          ·     ·
    disp-base  ·         ·     ·        ·          ·         ·          ·     ·
    personal   ·         ·     ·        ·          ·         ·          ·     ·
    untrusted  ·         ·     ✓        ·          ·         ·          ·     ·
    work       ·         ·     ·        ·          ·         ·          ·     ·

    ✓ allowed, ? the user is asked, · refused; with the number of services.
    ");
    let json = run(&["matrix", "--format", "json"]);
    let matrix: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(matrix["cells"].as_array().unwrap().len(), 5);
    insta::assert_snapshot!(run(&["graph", "--format", "dot", "qubes.Filecopy"]), @r##"
    digraph policy {
      rankdir=LR;
      node [fontname="sans-serif", fontsize=11];
      edge [color="#8a8f98"];
      s0 [label="work", shape=box, style=rounded, color="#8a8f98", penwidth=2];
      t0 [label="personal", shape=box, style=rounded, color="#8a8f98", penwidth=2];
      e0 [label="qubes.Filecopy", shape=plaintext];
      s0 -> e0 [style=solid, arrowhead=none];
      e0 -> t0 [style=solid];
    }
    "##);
    assert_eq!(run(&["graph", "-o", "picture.svg"]), "");
    let svg = std::fs::read_to_string(fixture.path("picture.svg")).unwrap();
    assert!(svg.starts_with("<svg"), "{svg}");
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
     --> policy/20-first.policy:2:1
      |
    2 | qubes.VMShell * @anyvm vault allow
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

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

/// A machine with a working copy, whose policy is not signed for yet.
fn machine() -> Fixture {
    let fixture = Fixture::alone();
    fixture.write("etc/bulkhead/policy.d/30-user.policy", POLICY);
    fixture.write(
        "etc/bulkhead/policy.d/30-user.test",
        TESTS.replace("ask", "deny").as_str(),
    );
    fixture.write("system.json", SYSTEM);
    fixture
}

fn verdict(fixture: &Fixture, source: &str, target: &str) -> String {
    let words = [
        "policy",
        "explain",
        source,
        target,
        "qubes.Filecopy",
        "--system",
        "system.json",
    ];
    let told = fixture.run(&words);
    told.lines().next().unwrap_or_default().to_owned()
}

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
