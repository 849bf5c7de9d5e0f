// SPDX-License-Identifier: GPL-3.0-or-later
//! What a change changes, and who may call whom.

use super::{POLICY, offline};
use crate::fixture::Fixture;

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
    for to in [
        &["--to", "untrusted"][..],
        &["to", "untrusted"],
        &["untrusted"],
    ] {
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
               @dispvm
    untrusted  ✓

    ✓ allowed, ? the user is asked, · refused.
    Who and what is missing here is refused to all.
    ");
    let told = run(&["graph", "qubes.OpenInVm", "--format", "dot"]);
    let misspelt =
        "! warning: no rule names the service `qubes.OpenInVm`. Did you mean `qubes.OpenInVM`?";
    assert!(told.contains(misspelt), "{told}");
    insta::assert_snapshot!(run(&["matrix", "qubes.Nothing"]), @r"
    Every call is refused.

    No rule names the service `qubes.Nothing`.
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

/// Sixty domains of a few kinds: as many rows and columns as there are differences.
#[test]
fn a_table_of_many_domains_has_equals_in_one_and_is_a_list_where_it_is_too_wide() {
    let fixture = Fixture::alone();
    let mut domains = vec![r#""dom0":{"type":"AdminVM"}"#.to_owned()];
    for kind in ["work", "personal", "untrusted"] {
        let domain = |n| format!(r#""{kind}-{n}":{{"type":"AppVM","tags":["{kind}"]}}"#);
        domains.extend((1..20).map(domain));
    }
    domains.push(r#""vault":{"type":"AppVM"}"#.to_owned());
    fixture.write(
        "system.json",
        &format!("{{\"domains\":{{{}}}}}", domains.join(",")),
    );
    let rules = "\
qubes.Filecopy * @tag:work @tag:work allow
qubes.Filecopy * @tag:untrusted @anyvm deny
qubes.Filecopy * @anyvm @anyvm ask
qubes.Gpg * @tag:work vault allow
qubes.Gpg * personal-1 vault ask
qubes.GetDate * @anyvm dom0 allow
";
    fixture.write("policy/30-user.policy", rules);
    let run = |wide: &str, words: &[&str]| {
        let offline = ["--policy", "policy", "--system", "system.json"];
        fixture.run_in(wide, &[&["policy", "matrix"], words, &offline].concat())
    };
    insta::assert_snapshot!(run("120", &[]), @r"
    personal-1
      ✓ dom0: qubes.GetDate
      ? any domain but vault, @dispvm, @default: qubes.Filecopy
      ? vault: qubes.Filecopy, qubes.Gpg
    personal-10, personal-11, personal-12, personal-13, personal-14, personal-15, personal-16, personal-17, personal-18,
    personal-19, personal-2, personal-3, personal-4, personal-5, personal-6, personal-7, personal-8, personal-9, vault
      ✓ dom0: qubes.GetDate
      ? any domain, @dispvm, @default: qubes.Filecopy
    untrusted-1, untrusted-10, untrusted-11, untrusted-12, untrusted-13, untrusted-14, untrusted-15, untrusted-16,
    untrusted-17, untrusted-18, untrusted-19, untrusted-2, untrusted-3, untrusted-4, untrusted-5, untrusted-6, untrusted-7,
    untrusted-8, untrusted-9
      ✓ dom0: qubes.GetDate
    work-1, work-10, work-11, work-12, work-13, work-14, work-15, work-16, work-17, work-18, work-19, work-2, work-3,
    work-4, work-5, work-6, work-7, work-8, work-9
      ✓ dom0: qubes.GetDate
      ✓ vault: qubes.Gpg
      ✓ work-1, work-10, work-11, work-12, work-13, work-14, work-15, work-16, work-17, work-18, work-19, work-2, work-3,
          work-4, work-5, work-6, work-7, work-8, work-9: qubes.Filecopy
      ? personal-1, personal-10, personal-11, personal-12, personal-13, personal-14, personal-15, personal-16, personal-17,
          personal-18, personal-19, personal-2, personal-3, personal-4, personal-5, personal-6, personal-7, personal-8,
          personal-9, untrusted-1, untrusted-10, untrusted-11, untrusted-12, untrusted-13, untrusted-14, untrusted-15,
          untrusted-16, untrusted-17, untrusted-18, untrusted-19, untrusted-2, untrusted-3, untrusted-4, untrusted-5,
          untrusted-6, untrusted-7, untrusted-8, untrusted-9, vault, @dispvm, @default: qubes.Filecopy

    ✓ allowed, ? the user is asked; whatever is missing here is refused.
    ");
    insta::assert_snapshot!(run("80", &[]), @r"
    personal-1
      ✓ dom0: qubes.GetDate
      ? any domain but vault, @dispvm, @default: qubes.Filecopy
      ? vault: qubes.Filecopy, qubes.Gpg
    personal-10, personal-11, personal-12, personal-13, personal-14, personal-15,
    personal-16, personal-17, personal-18, personal-19, personal-2, personal-3,
    personal-4, personal-5, personal-6, personal-7, personal-8, personal-9, vault
      ✓ dom0: qubes.GetDate
      ? any domain, @dispvm, @default: qubes.Filecopy
    untrusted-1, untrusted-10, untrusted-11, untrusted-12, untrusted-13,
    untrusted-14, untrusted-15, untrusted-16, untrusted-17, untrusted-18,
    untrusted-19, untrusted-2, untrusted-3, untrusted-4, untrusted-5, untrusted-6,
    untrusted-7, untrusted-8, untrusted-9
      ✓ dom0: qubes.GetDate
    work-1, work-10, work-11, work-12, work-13, work-14, work-15, work-16, work-17,
    work-18, work-19, work-2, work-3, work-4, work-5, work-6, work-7, work-8, work-9
      ✓ dom0: qubes.GetDate
      ✓ vault: qubes.Gpg
      ✓ work-1, work-10, work-11, work-12, work-13, work-14, work-15, work-16,
          work-17, work-18, work-19, work-2, work-3, work-4, work-5, work-6, work-7,
          work-8, work-9: qubes.Filecopy
      ? personal-1, personal-10, personal-11, personal-12, personal-13, personal-14,
          personal-15, personal-16, personal-17, personal-18, personal-19,
          personal-2, personal-3, personal-4, personal-5, personal-6, personal-7,
          personal-8, personal-9, untrusted-1, untrusted-10, untrusted-11,
          untrusted-12, untrusted-13, untrusted-14, untrusted-15, untrusted-16,
          untrusted-17, untrusted-18, untrusted-19, untrusted-2, untrusted-3,
          untrusted-4, untrusted-5, untrusted-6, untrusted-7, untrusted-8,
          untrusted-9, vault, @dispvm, @default: qubes.Filecopy

    ✓ allowed, ? the user is asked; whatever is missing here is refused.
    ");
    insta::assert_snapshot!(run("80", &["qubes.Gpg"]), @r"
                                         vault
    personal-1                           ?
    work-1, work-10, work-11, work-12,   ✓
    work-13, work-14, work-15, work-16,
    work-17, work-18, work-19, work-2,
    work-3, work-4, work-5, work-6,
    work-7, work-8, work-9

    ✓ allowed, ? the user is asked, · refused.
    Who and what is missing here is refused to all.
    ");
    let whole: serde_json::Value = serde_json::from_str(&run("80", &["--json"])).unwrap();
    assert_eq!(whole["sources"].as_array().unwrap().len(), 59);
}
