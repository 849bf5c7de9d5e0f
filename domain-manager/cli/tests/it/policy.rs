// SPDX-License-Identifier: GPL-3.0-or-later
//! Asking policy, offline.

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
    insta::assert_snapshot!(explain(&offline(), &["untrusted", "work", "qubes.Filecopy"]), @r#"
    deny
      rule      qubes.Filecopy * untrusted @anyvm deny
                policy/30-user.policy:3
      reason    a rule denies the call (policy/30-user.policy:3)
      target    work
    "#);
}

#[test]
fn a_permission_says_where_the_call_goes() {
    insta::assert_snapshot!(explain(&offline(), &["untrusted", "@dispvm", "qubes.OpenInVM"]), @r#"
    allow
      rule      qubes.OpenInVM * @anyvm @dispvm allow
                policy/30-user.policy:4
      target    @dispvm
      goes to   @dispvm:disp-base
    "#);
}

#[test]
fn a_denial_without_a_rule_names_the_nearest_ones() {
    insta::assert_snapshot!(explain(&offline(), &["personal", "work", "qubes.Filecopy"]), @r#"
    deny
      reason    no rule allows the call
      target    work
      near miss qubes.Filecopy * untrusted @anyvm deny  (policy/30-user.policy:3; another source)
    "#);
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
      "destination": [
        "personal"
      ],
      "user": null,
      "nearest": [],
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
