// SPDX-License-Identifier: GPL-3.0-or-later
//! What a shell is told when somebody presses the tab key.

use std::os::unix::fs::symlink;

use bulkhead_admin::Reply;
use bulkhead_types::Layout;

use crate::fixture::{Fixture, content};

fn machine() -> Fixture {
    let system = r#"{"domains":{
        "dom0":{"type":"AdminVM","power_state":"Running"},
        "personal":{"type":"AppVM","power_state":"Running","tags":["office","desk"]},
        "work":{"type":"AppVM","power_state":"Halted","tags":["office"]}}}"#;
    let answers: [(&str, Reply); 1] = [("internal.GetSystemInfo", content(system))];
    let fixture = Fixture::answering(&answers);
    // The one that answers answers there as well.
    let layout = Layout::below(fixture.path(""));
    symlink(layout.admin_socket(), layout.internal_socket()).unwrap();
    let policy = "qubes.Filecopy * work personal allow\nmy.Service * @anyvm work ask\n";
    fixture.write("etc/bulkhead/policy.d/30-user.policy", policy);
    fixture
}

fn told(fixture: &Fixture, words: &[&str]) -> String {
    let told = fixture.run(&[&["complete", "--"], words].concat());
    told.lines().collect::<Vec<_>>().join(" ")
}

#[test]
fn verbs_options_and_values_are_completed_from_the_command_line_itself() {
    let fixture = machine();
    assert_eq!(told(&fixture, &["pol"]), "policy");
    assert_eq!(told(&fixture, &["policy", "re"]), "remove revoke");
    assert_eq!(told(&fixture, &["policy", "explain", "--f"]), "--format");
    assert_eq!(
        told(&fixture, &["policy", "explain", "--format", ""]),
        "json text"
    );
    assert_eq!(told(&fixture, &["run", "work", "--", "l"]), "");
    assert_eq!(told(&fixture, &["completion", ""]), "bash fish zsh");
    // What only scripts ask is not offered to people.
    assert_eq!(told(&fixture, &["comp"]), "completion");
}

#[test]
fn domains_tags_labels_and_services_are_those_there_are() {
    let fixture = machine();
    assert_eq!(told(&fixture, &["start", ""]), "dom0 personal work");
    assert_eq!(told(&fixture, &["start", "work", "p"]), "personal");
    assert_eq!(
        told(&fixture, &["create", "new", "--label", "bl"]),
        "black blue"
    );
    let explain = ["policy", "explain", "work"];
    assert_eq!(
        told(&fixture, &[&explain[..], &["@d"]].concat()),
        "@default @dispvm"
    );
    let services = told(&fixture, &[&explain[..], &["personal", ""]].concat());
    assert_eq!(services, "my.Service qubes.Filecopy");
    assert_eq!(
        told(&fixture, &["policy", "who-can", "q"]),
        "qubes.Filecopy"
    );
    let add = ["policy", "add", "my.Service", "*"];
    assert_eq!(
        told(&fixture, &[&add[..], &["@tag:"]].concat()),
        "@tag:desk @tag:office"
    );
    assert_eq!(
        told(&fixture, &[&add[..], &["work", "work", "a"]].concat()),
        "allow ask"
    );
}

#[test]
fn what_is_not_known_is_left_out_without_a_complaint() {
    let fixture = Fixture::alone();
    assert_eq!(told(&fixture, &["start", ""]), "");
    assert_eq!(told(&fixture, &["policy", "who-can", ""]), "");
    assert_eq!(told(&fixture, &["no", "such", "verb"]), "");
}

/// The script in a real shell, with the words as they are typed.
#[test]
fn bash_is_given_what_follows_a_colon() {
    let fixture = machine();
    let script = fixture.run(&["completion", "bash"]);
    let program = env!("CARGO_BIN_EXE_bulkhead");
    let test = format!(
        "bulkhead() {{ {program} \"$@\"; }}\n{script}\n\
         COMP_LINE='bulkhead policy add my.Service + @tag:de'; COMP_POINT=${{#COMP_LINE}}\n\
         _bulkhead; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n\
         COMP_LINE='bulkhead start '; COMP_POINT=${{#COMP_LINE}}\n\
         _bulkhead; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
    );
    fixture.write("completion-test", &test);
    let output = std::process::Command::new("bash")
        .arg(fixture.path("completion-test"))
        .env(Layout::ROOT_VARIABLE, fixture.path(""))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "desk\ndom0\npersonal\nwork\n"
    );
}
