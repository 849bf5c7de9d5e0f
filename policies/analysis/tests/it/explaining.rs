// SPDX-License-Identifier: GPL-3.0-or-later
//! Why a call was decided as it was.

use policy_analysis::Explainer;

use policy_samples::small::{call, policy, system};
use policy_samples::told;

fn explain(rules: &str, source: &str, target: &str, service: &str) -> String {
    let (policy, system) = (policy(rules), system());
    let explainer = Explainer::new(&policy, &system);
    let explanation = explainer.explain(&call(source, target, service));
    let mut text = format!("{}\n", told(explanation.verdict));
    if let Some(target) = explanation.target {
        text.push_str(&format!("target: {target}\n"));
    }
    for miss in explanation.nearest {
        let failed: Vec<_> = miss.failed.iter().map(ToString::to_string).collect();
        let (rule, failed) = (miss.rule, failed.join(", "));
        text.push_str(&format!("{} but for its {failed}: {rule}\n", rule.location));
    }
    for remark in explanation.remarks {
        text.push_str(&format!("remark: {remark}\n"));
    }
    text
}

const RULES: &str = "\
qubes.Filecopy * work personal allow
qubes.Filecopy * untrusted @anyvm deny
qubes.Filecopy +x personal vault ask
qubes.OpenInVM * @anyvm @dispvm allow
";

#[test]
fn the_deciding_rule_is_named() {
    insta::assert_snapshot!(explain(RULES, "work", "@dispvm", "qubes.OpenInVM"), @r"
    allow @dispvm:disp-base
    target: @dispvm
    ");
    insta::assert_snapshot!(explain(RULES, "untrusted", "work", "qubes.Filecopy"), @r"
    deny: a rule denies the call (p:2)
    target: work
    remark: there is no domain `untrusted`
    ");
}

#[test]
fn of_dom0_it_is_said_that_it_asks_nobody() {
    let told = explain(RULES, "dom0", "work", "qubes.Filecopy");
    let remark = "remark: dom0 asks nobody: its calls are made whatever the rules say\n";
    assert!(told.contains(remark), "{told}");
    assert!(!explain(RULES, "work", "dom0", "qubes.Filecopy").contains(remark));
}

#[test]
fn a_denial_without_a_rule_names_what_came_near() {
    insta::assert_snapshot!(explain(RULES, "work", "vault", "qubes.Filecopy+x"), @r"
    deny: no rule allows the call
    target: vault
    p:1 but for its target: qubes.Filecopy * work personal allow
    p:3 but for its source: qubes.Filecopy +x personal vault ask
    p:2 but for its source: qubes.Filecopy * untrusted @anyvm deny
    ");
    insta::assert_snapshot!(explain(RULES, "personal", "vault", "qubes.Filecopy"), @r"
    deny: no rule allows the call
    target: vault
    p:3 but for its argument: qubes.Filecopy +x personal vault ask
    p:2 but for its source: qubes.Filecopy * untrusted @anyvm deny
    p:1 but for its target, source: qubes.Filecopy * work personal allow
    ");
    insta::assert_snapshot!(explain(RULES, "work", "personal", "qubes.FileCopy"), @r"
    deny: no rule allows the call
    target: personal
    p:1 but for its service: qubes.Filecopy * work personal allow
    p:2 but for its source, service: qubes.Filecopy * untrusted @anyvm deny
    remark: no rule is about the service `qubes.FileCopy`; did you mean `qubes.Filecopy`?
    ");
}

#[test]
fn a_misspelt_target_is_remarked_on() {
    insta::assert_snapshot!(explain(RULES, "work", "personl", "qubes.Filecopy"), @r"
    deny: no rule allows the call
    target: @default
    p:1 but for its target: qubes.Filecopy * work personal allow
    p:2 but for its source: qubes.Filecopy * untrusted @anyvm deny
    remark: there is no domain `personl`, so policy sees `@default`; did you mean `personal`?
    remark: a rule can only allow a call without a target by choosing one: `@default` with `target=`
    ");
}
