// SPDX-License-Identifier: GPL-3.0-or-later
//! What a change changes, and who may call whom.

use super::{POLICY, offline};

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
    insta::assert_snapshot!(run(&["who-can", "qubes.FileCopy", "to", "wrok"]), @r"
    Nobody.
    No rule names the service `qubes.FileCopy`. Did you mean `qubes.Filecopy`?
    There is no domain `wrok`. Did you mean `work`?
    ");
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
fn what_a_question_offers_more_or_less_is_named() {
    let fixture = offline();
    let ask = "qubes.Gpg * work @anyvm ask\n";
    fixture.write("a/30-user.policy", ask);
    fixture.write(
        "b/30-user.policy",
        &format!("qubes.Gpg * work personal deny\n{ask}"),
    );
    let diff = |from, to| fixture.run(&["policy", "diff", from, to, "--system", "system.json"]);
    assert!(
        diff("a", "b").contains("  no longer offered: personal\n"),
        "{}",
        diff("a", "b")
    );
    assert!(
        diff("b", "a").contains("  offered now: personal\n"),
        "{}",
        diff("b", "a")
    );
    let file = fixture.run(&["policy", "check", "--policy", "a/30-user.policy"]);
    assert!(file.contains("name the directory that holds it"), "{file}");
}
