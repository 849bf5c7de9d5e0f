// SPDX-License-Identifier: GPL-3.0-or-later
//! Who may call what, as lists and pictures.

use policy_analysis::{Graph, Matrix, who_can};

use policy_samples::small::{policy, system};

const RULES: &str = "\
s * work vault allow
s +x * @adminvm allow user=root
t * @anyvm @anyvm ask
u * work @default allow target=dom0
s * * * deny
";

#[test]
fn who_may_call_a_service_is_told_with_the_rule() {
    let (policy, system) = (policy(RULES), system());
    let told = |service: &str, argument: Option<&str>, target: Option<&str>| {
        let found = who_can(&policy, &system, service, argument, target);
        let line = |access: &policy_analysis::Access<'_>| {
            let targets = policy_analysis::listed(&access.targets);
            let argument = access.kind.argument.as_deref().unwrap_or("*");
            let (source, decided, rule) = (&access.source, &access.decided, access.rule);
            format!(
                "{argument} {source} -> {targets}: {decided} ({})\n",
                rule.location
            )
        };
        found.iter().map(line).collect::<String>()
    };
    insta::assert_snapshot!(told("s", None, Some("vault")), @r"
    * work -> vault: allow (p:1)
    +x work -> vault: allow (p:1)
    ");
    insta::assert_snapshot!(told("s", Some("+x"), Some("dom0")), @r"
    +x disp-base -> dom0: allow, as root (p:2)
    +x disp-net -> dom0: allow, as root (p:2)
    +x disp1 -> dom0: allow, as root (p:2)
    +x far -> dom0: allow, as root (p:2)
    +x hidden -> dom0: allow, as root (p:2)
    +x personal -> dom0: allow, as root (p:2)
    +x remote -> dom0: allow, as root (p:2)
    +x template -> dom0: allow, as root (p:2)
    +x vault -> dom0: allow, as root (p:2)
    +x work -> dom0: allow, as root (p:2)
    ");
    assert_eq!(told("s", Some("+"), Some("dom0")), "");
    insta::assert_snapshot!(told("u", None, None), @"* work -> @default: allow → dom0 (p:4)");
    assert_eq!(told("nobody.Knows", None, None), "");
}

#[test]
fn nobody_is_told_to_call_itself() {
    let (policy, system) = (policy("t * @anyvm @anyvm ask\n"), system());
    let found = who_can(&policy, &system, "t", None, Some("work"));
    assert!(found.iter().any(|access| access.source == "vault"));
    // It may ask for itself, and is asked where else the call shall go.
    assert!(found.iter().all(|access| access.source != "work"));
    let matrix = Matrix::new(&policy, &system, None, None);
    for (source, cells) in matrix.sources.iter().zip(&matrix.cells) {
        let own = matrix.targets.iter().position(|target| target == source);
        let cell = own.map(|own| &cells[own]);
        assert!(cell.is_none_or(|cell| cell.allow.is_empty() && cell.ask.is_empty()));
    }
}

#[test]
fn a_cell_of_the_table_names_the_services() {
    let (policy, system) = (policy(RULES), system());
    let matrix = Matrix::new(&policy, &system, None, None);
    let at = |names: &[String], name: &str| names.iter().position(|n| n == name).unwrap();
    let cell = |source: &str, target: &str| {
        &matrix.cells[at(&matrix.sources, source)][at(&matrix.targets, target)]
    };
    let names = |kinds: &[policy_analysis::Kind]| {
        let name = |kind: &policy_analysis::Kind| {
            format!(
                "{}{}",
                kind.service.as_deref().unwrap(),
                kind.argument.as_deref().unwrap_or("")
            )
        };
        kinds.iter().map(name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&cell("work", "vault").allow), "s s+x");
    assert_eq!(names(&cell("work", "vault").ask), "t");
    assert_eq!(names(&cell("personal", "dom0").allow), "s+x");
    assert_eq!(cell("dom0", "dom0"), &Default::default());
    let only = Matrix::new(&policy, &system, Some("t"), None);
    assert_eq!(
        only.cells[at(&only.sources, "work")][at(&only.targets, "vault")].allow,
        []
    );
}

#[test]
fn a_picture_has_callers_flows_and_targets() {
    let (policy, system) = (policy(RULES), system());
    let graph = Graph::new(&policy, &system, |_| true, true);
    insta::assert_snapshot!(graph.to_dot(), @r##"
    digraph policy {
      rankdir=LR;
      node [fontname="sans-serif", fontsize=11];
      edge [color="#8a8f98"];
      s0 [label="any domain but work", shape=box, style=rounded, color="#8a8f98", penwidth=2];
      s1 [label="work", shape=box, style=rounded, color="#cc0000", penwidth=2];
      s2 [label="any domain", shape=box, style=rounded, color="#8a8f98", penwidth=2];
      t0 [label="dom0", shape=box, style=rounded, color="#cc0000", penwidth=2];
      t1 [label="vault", shape=box, style=rounded, color="#cc0000", penwidth=2];
      t2 [label="any domain", shape=box, style=rounded, color="#8a8f98", penwidth=2];
      t3 [label="@dispvm:disp-base", shape=box, style=rounded, color="#cc0000", penwidth=2];
      t4 [label="@dispvm:disp-net", shape=box, style=rounded, color="#cc0000", penwidth=2];
      t5 [label="@dispvm", shape=box, style=rounded, color="#8a8f98", penwidth=2];
      t6 [label="@default", shape=box, style=rounded, color="#8a8f98", penwidth=2];
      e0 [label="s+x", shape=plaintext];
      s0 -> e0 [style=solid, arrowhead=none];
      e0 -> t0 [style=solid];
      e1 [label="s", shape=plaintext];
      s1 -> e1 [style=solid, arrowhead=none];
      e1 -> t1 [style=solid];
      e2 [label="s+x", shape=plaintext];
      s1 -> e2 [style=solid, arrowhead=none];
      e2 -> t1 [style=solid];
      e2 -> t0 [style=solid];
      e3 [label="u\n(asked for @default)", shape=plaintext];
      s1 -> e3 [style=solid, arrowhead=none];
      e3 -> t0 [style=solid];
      e4 [label="t\nask", shape=plaintext];
      s2 -> e4 [style=dashed, arrowhead=none];
      e4 -> t2 [style=dashed];
      e4 -> t3 [style=dashed];
      e4 -> t4 [style=dashed];
      e4 -> t5 [style=dashed];
      e4 -> t6 [style=dashed];
    }
    "##);
    let allowed = Graph::new(&policy, &system, |service| service != "s", false);
    assert_eq!(allowed.edges.len(), 1);
    let svg = graph.to_svg();
    assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
    assert_eq!(svg.matches("<g>").count(), svg.matches("</g>").count());
    for edge in &graph.edges {
        assert!(svg.contains(&edge.services[0]), "{}", edge.services[0]);
    }
    assert!(!svg.contains("NaN"));
}

#[test]
fn a_policy_that_allows_nothing_is_a_picture_too() {
    let (policy, system) = (policy("* * * * deny"), system());
    let graph = Graph::new(&policy, &system, |_| true, true);
    assert_eq!(graph, Graph::default());
    assert!(!graph.to_svg().contains("NaN"));
}

/// Ten domains that may do the same are one card with ten names, and one line.
#[test]
fn who_may_do_the_same_stands_on_one_card() {
    let names: Vec<_> = (0..10).map(|n| format!("d{n}")).collect();
    let rules: String = names
        .iter()
        .map(|name| format!("s * {name} dom0 allow\n"))
        .collect();
    let domain = |name: &String| format!(r#""{name}":{{"type":"AppVM"}}"#);
    let others = ["vault", "work", "far", "web"].map(str::to_owned);
    let domains: Vec<_> = names.iter().chain(&others).map(domain).collect();
    let system = format!(r#"{{"domains":{{{}}}}}"#, domains.join(","));
    let system = serde_json::from_str(&system).unwrap();
    let svg = Graph::new(&policy(&rules), &system, |_| true, true).to_svg();
    assert_eq!(svg.matches(r#"class="card""#).count(), 2, "{svg}");
    assert_eq!(
        svg.matches("<path class").count(),
        4,
        "two lines and the legend: {svg}"
    );
    for name in names {
        assert!(svg.contains(&format!(">{name}</text>")), "{name}");
    }
}
