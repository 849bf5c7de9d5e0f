// SPDX-License-Identifier: GPL-3.0-or-later
//! Why a call is decided as it is, one at a time and in batches.

use super::offline;
use crate::fixture::Fixture;

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
fn a_batch_answers_every_line_and_a_bad_one_does_not_end_it() {
    let calls = r#"{"source":"work","target":"personal","service":"qubes.Filecopy"}
{"source":"untrusted","target":"@dispvm","service":"qubes.OpenInVM","argument":"x","id":7}
{"source":"work"}
no json

{"source":"work","target":"@anyvm","service":"s"}
{"source":"","target":"work","service":"s"}
{"source":"work","service":"a b"}
{"source":"work","target":"personal","service":"qubes.Filecopy","argument":"+y"}
{"source":"work","target":"personal","service":"my.Svc+a","argument":"+b","id":"twice"}
{"source":"work","target":"personal","service":"qubes.Filecopy","tagret":"vault","id":8}
{"source":"work","target":"personal","service":"qubes.Filecopy"}"#;
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
    "error" null "the argument is given twice: `service` is `my.Svc+a` and `argument` is `+b`" "twice"
    "error" null "the line is no call: unknown field `tagret`, expected one of `source`, `intended_target`, `target`, `service`, `service_and_arg`, `arg`, `argument`, `requested_source`, `id` at line 1 column 72" 8
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
