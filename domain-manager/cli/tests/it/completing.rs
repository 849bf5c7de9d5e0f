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
fn the_terms_of_a_query_are_those_there_can_be() {
    let fixture = machine();
    let audit = |term| told(&fixture, &["policy", "audit", term]);
    assert_eq!(audit("s"), "service= since= source=");
    assert_eq!(audit("source=w"), "source=work");
    assert_eq!(audit("verdict="), "verdict=allow verdict=deny");
    assert_eq!(audit("service=my"), "service=my.Service");
    assert_eq!(audit("colour="), "");
    assert_eq!(
        told(&fixture, &["policy", "trace", "event=p"]),
        "event=private event=pruned"
    );
    // Only what can be granted or counted.
    assert_eq!(
        told(&fixture, &["policy", "grant", "work", "@d"]),
        "@dispvm"
    );
    assert_eq!(
        told(&fixture, &["policy", "quota", "set", "@tag:"]),
        "@tag:desk @tag:office"
    );
}

#[test]
fn what_is_not_known_is_left_out_without_a_complaint() {
    let fixture = Fixture::alone();
    assert_eq!(told(&fixture, &["start", ""]), "");
    assert_eq!(told(&fixture, &["policy", "who-can", ""]), "");
    assert_eq!(told(&fixture, &["no", "such", "verb"]), "");
}

#[test]
fn policy_files_and_generations_are_those_there_are() {
    let fixture = machine();
    fixture.write("etc/bulkhead/policy.d/include/office", "# Nobody.\n");
    for message in ["first", "second"] {
        let rule = format!("my.{message} * work personal allow\n");
        fixture.write("etc/bulkhead/policy.d/40-office.policy", &rule);
        let told = fixture.run(&["policy", "apply", "-m", message]);
        assert!(told.contains(" is live; "), "{told}");
    }
    assert_eq!(
        told(&fixture, &["policy", "edit", ""]),
        "30-user 40-office include/office"
    );
    assert_eq!(told(&fixture, &["policy", "edit", "4"]), "40-office");
    let add = ["policy", "add", "--file", "i"];
    assert_eq!(told(&fixture, &add), "include/office");
    assert_eq!(told(&fixture, &["policy", "new", ""]), "");
    // A file of the shell's.
    assert_eq!(told(&fixture, &["policy", "graph", "--output", ""]), "");
    assert_eq!(told(&fixture, &["policy", "rollback", ""]), "1 2");
    assert_eq!(told(&fixture, &["policy", "diff", ""]), "@1 @2 @live");
    assert_eq!(told(&fixture, &["policy", "diff", "@1", "@l"]), "@live");
}

/// What a person would be offered: the line as it is typed so far, and the answers.
const LINES: [(&str, &[&str]); 6] = [
    ("bulkhead start ", &["dom0", "personal", "work"]),
    ("bulkhead start p", &["personal"]),
    ("bulkhead policy explain work personal my", &["my.Service"]),
    ("bulkhead policy edit ", &["30-user"]),
    ("bulkhead policy diff @l", &["@live"]),
    ("bulkhead policy audit so", &["source="]),
];

/// What a shell prints that runs a script, below the fixture's root. A shell that is missing is a
/// failure: `cargo xtask test` installs those that people use.
fn shell(fixture: &Fixture, shell: &[&str], script: &str) -> Vec<String> {
    fixture.write("completion-test", script);
    let program = env!("CARGO_BIN_EXE_bulkhead");
    let folder = std::path::Path::new(program).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let output = std::process::Command::new(shell[0])
        .args(&shell[1..])
        .arg(fixture.path("completion-test"))
        .env(Layout::ROOT_VARIABLE, fixture.path(""))
        .env("HOME", fixture.path(""))
        .env("PATH", path)
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be started: {error}", shell[0]));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(complaint, "", "{}", shell[0]);
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn zsh_offers_what_there_is() {
    let fixture = machine();
    let script = fixture.run(&["completion", "zsh"]);
    for (line, expected) in LINES {
        // As the shell's completion system calls the function: the words, and which is completed.
        let test = format!(
            "compdef() {{ }}\n_files() {{ print files }}\n\
             compadd() {{ while [[ $1 != -- ]]; do shift; done; shift; print -l -- ${{(M)@:#${{words[CURRENT]}}*}} }}\n\
             {script}\n\
             words=(\"${{(@s: :):-{line}}}\"); CURRENT=$#words\n_bulkhead\n"
        );
        assert_eq!(shell(&fixture, &["zsh", "-f"], &test), expected, "{line}");
    }
}

#[test]
fn zsh_takes_the_script_for_a_completion_function() {
    let fixture = machine();
    let script = fixture.run(&["completion", "zsh"]);
    fixture.write("functions/_bulkhead", &script);
    let folder = fixture.path("functions").display().to_string();
    let test = format!(
        "fpath=({folder} $fpath)\nautoload -Uz compinit\ncompinit -u -D\nprint $_comps[bulkhead]\n"
    );
    assert_eq!(shell(&fixture, &["zsh", "-f"], &test), ["_bulkhead"]);
}

#[test]
fn fish_offers_what_there_is() {
    let fixture = machine();
    let script = fixture.run(&["completion", "fish"]);
    for (line, expected) in LINES {
        let test = format!("{script}\ncomplete -C '{line}'\n");
        let offered = shell(&fixture, &["fish", "--no-config"], &test);
        assert_eq!(offered, expected, "{line}");
    }
}

#[test]
fn bash_offers_what_there_is() {
    let fixture = machine();
    let script = fixture.run(&["completion", "bash"]);
    for (line, expected) in LINES {
        let test = format!(
            "{script}\nCOMP_LINE='{line}'; COMP_POINT=${{#COMP_LINE}}\n\
             _bulkhead; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        );
        // What stands behind `@` is all that is replaced.
        let offered = shell(&fixture, &["bash", "--norc"], &test);
        let expected: Vec<_> = expected
            .iter()
            .map(|word| word.trim_start_matches('@'))
            .collect();
        assert_eq!(offered, expected, "{line}");
    }
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
