// SPDX-License-Identifier: GPL-3.0-or-later
//! What is suspicious about a policy that parses.

use bulkhead_policy::{Domain, System};
use policy_analysis::{Networks, each_once, lint};

use policy_samples::small::{domain, policy, system};

fn found(rules: &str, system: Option<&System>, networks: Option<&Networks>) -> String {
    let policy = policy(rules);
    let line = |d: &bulkhead_policy::Diagnostic| {
        let line = d
            .span
            .map_or(0, |span| policy.sources().location(span).line);
        let notes: String = d
            .notes
            .iter()
            .map(|n| format!("\n  {}", n.message))
            .collect();
        let help = d
            .help
            .as_ref()
            .map_or(String::new(), |h| format!(" [{}]", h.message));
        format!("{line} {}: {}{help}{notes}\n", d.code.unwrap(), d.message)
    };
    lint(&policy, system, networks).iter().map(line).collect()
}

#[test]
fn a_rule_behind_a_wider_one_is_shadowed() {
    let rules = "\
s * work @anyvm ask
s +x work vault allow
s * @tag:office vault allow
s * * dom0 deny
s * @adminvm @adminvm allow
* * @anyvm * deny
t * @type:AppVM vault allow
t * @tag:office vault allow
";
    insta::assert_snapshot!(found(rules, None, None), @r"
    2 shadowed: the rule decides no call: an earlier one takes them all
      by p:1
    5 shadowed: the rule decides no call: an earlier one takes them all
      by p:4
    7 shadowed: the rule decides no call: an earlier one takes them all
      by p:6
    ");
}

#[test]
fn what_everybody_may_do_to_others_is_told() {
    let rules = "\
qubes.VMShell * @anyvm @anyvm allow
qubes.VMShell * @anyvm @dispvm allow
qubes.VMExec * * @default allow target=@dispvm
qubes.Filecopy * @anyvm @anyvm allow
admin.vm.Kill * @anyvm work allow
admin.vm.List * @anyvm work allow
* * @anyvm vault allow
* * work vault allow
qubes.FileCopy * work vault ask
";
    insta::assert_snapshot!(found(rules, None, None), @r"
    1 dangerous-wildcard: every domain may call `qubes.VMShell`, which runs any program, without being asked [name the callers, or write `ask`]
    2 shadowed: the rule decides no call: an earlier one takes them all
      by p:1
    5 dangerous-wildcard: every domain may call `admin.vm.Kill`, without being asked [name the callers, or write `ask`]
    7 dangerous-wildcard: every domain may call every service, without being asked [name the callers, or write `ask`]
    8 shadowed: the rule decides no call: an earlier one takes them all
      by p:7
    9 shadowed: the rule decides no call: an earlier one takes them all
      by p:7
    9 unknown-service: no service is known as `qubes.FileCopy` [did you mean `qubes.Filecopy`?]
    ");
}

#[test]
fn names_that_are_not_there_are_told() {
    let rules = "\
s * wrok vault allow
s * work valut ask target=gone default_target=@dispvm:vault
s * @tag:ofice @dispvm:@tag:online deny
s * @type:AppVm @dispvm:work deny
s * @type:StandaloneVM uuid:11111111-1111-4111-8111-111111111111 deny
";
    insta::assert_snapshot!(found(rules, Some(&system()), None), @r"
    1 no-such-domain: there is no domain `wrok` [did you mean `work`?]
    2 no-such-domain: there is no domain `valut` [did you mean `vault`?]
    2 no-such-domain: there is no domain `gone`
    2 not-a-template: `vault` is no template for disposables
    3 no-such-tag: no domain has the tag `ofice` [did you mean `office`?]
    4 no-such-class: there is no class `AppVm` [did you mean `AppVM`?]
    4 not-a-template: `work` is no template for disposables
    ");
}

#[test]
fn a_name_that_is_not_there_is_told_once_where_it_stands() {
    let rules = "\
s * work @anyvm ask
t * @tag:gone @anyvm allow
t * @tag:gone @tag:gone deny
u * work vault allow target=gone
u * work @adminvm allow target=gone
u * personal vault allow target=gone
u * personal @adminvm allow target=gone
u * vault work allow target=gone
";
    let policy = policy(rules);
    let told = each_once(lint(&policy, Some(&system()), None), policy.sources());
    let lines = told.iter().map(|d| {
        let span = d.span.unwrap();
        let notes: Vec<_> = d.notes.iter().map(|n| &*n.message).collect();
        let (at, word) = (policy.sources().location(span), policy.sources().text(span));
        format!("{at}:{} {word}: {} {notes:?}\n", at.column, d.message)
    });
    insta::assert_snapshot!(lines.collect::<String>(), @r#"
    p:2:10 gone: no domain has the tag `gone` ["also at p:3"]
    p:4:29 gone: there is no domain `gone` ["also at p:5, p:6, p:7 and 1 more"]
    "#);
}

#[test]
fn rules_that_come_to_nothing_in_this_system_are_told() {
    let rules = "\
s * @tag:office vault deny
s * work vault ask
t * work @default ask
u * dom0 work ask
u * unseen work ask
v * work @anyvm ask default_target=hidden
w * @type:AppVM @type:AppVM allow
w * work personal deny
";
    let unseen = Domain {
        guivm: None,
        ..domain("unseen", "AppVM")
    };
    let small = system();
    let domains = small.domains().iter().map(|d| (**d).clone());
    let system = System::new(domains.chain([unseen]));
    insta::assert_snapshot!(found(rules, Some(&system), None), @r"
    2 never-decides: the rule decides no call of this system: earlier ones take them all [move it up, or delete it]
    3 never-answered: the rule asks, but there is never a target to choose [add `target=DOMAIN`, or rules that allow some targets]
    5 never-answered: the rule asks, but none of its callers is on anybody's screen [write `allow` or `deny`; callers without a `guivm` are refused unasked]
    6 default-not-offered: the `default_target=` is never among the targets to choose [it has to be a target that some rule for the caller allows]
    8 never-decides: the rule decides no call of this system: earlier ones take them all [move it up, or delete it]
    ");
}

#[test]
fn a_way_over_others_is_told_with_its_steps() {
    let plain = |name: &str| domain(name, "AppVM");
    let base = |name: &str| Domain {
        template_for_dispvms: true,
        ..plain(name)
    };
    let system = System::new([
        domain("dom0", "AdminVM"),
        Domain {
            default_dispvm: Some("online".parse().unwrap()),
            ..plain("vault")
        },
        plain("keys"),
        plain("work"),
        plain("admin"),
        base("online"),
        base("offline"),
    ]);
    let networks: Networks = [
        ("vault", None),
        ("keys", None),
        ("offline", None),
        ("work", Some("net")),
        ("admin", Some("net")),
        ("online", Some("net")),
    ]
    .into_iter()
    .map(|(name, netvm)| (name.parse().unwrap(), netvm.map(|n| n.parse().unwrap())))
    .collect();
    let rules = "\
qubes.OpenURL * vault @dispvm allow
qubes.VMShell * work admin allow
admin.vm.Create * admin dom0 allow
qubes.VMExec * admin keys allow
qubes.Filecopy * keys work ask
";
    insta::assert_snapshot!(found(rules, Some(&system), Some(&networks)), @r"
    1 reaches-network: `vault` has no network, but its data can get there: vault → @dispvm:online
      vault → @dispvm:online by qubes.OpenURL (p:1)
    2 reaches-dom0: `work` controls dom0 over others: work → admin → dom0
      work → admin by qubes.VMShell (p:2)
      admin → dom0 by admin.vm.Create (p:3)
    2 reaches-offline: `work` has network, and controls a domain without over others: work → admin → keys
      work → admin by qubes.VMShell (p:2)
      admin → keys by qubes.VMExec (p:4)
    ");
    assert_eq!(
        found("qubes.OpenURL * vault @dispvm allow\n", Some(&system), None),
        ""
    );
    let rules = "qubes.OpenURL * vault @dispvm:offline allow\n";
    assert_eq!(found(rules, Some(&system), Some(&networks)), "");
}
