// SPDX-License-Identifier: MIT OR Apache-2.0
//! Matching, resolution and the choices of `ask`, statement by statement of the specification
//! of qrexec, 2.4 to 2.6.

use bulkhead_policy::{Denial, DomainRef, Policy, Relay, Verdict};
use policy_samples::small::{BASE_UUID, DOM0_UUID, WORK_UUID, call, decide, policy, system};
use policy_samples::told;

#[test]
fn the_first_rule_that_matches_decides_and_none_is_deny() {
    let rules = "s * work personal deny\ns * work * allow\ns * * * deny";
    assert_eq!(
        decide(rules, "work", "personal"),
        "deny: a rule denies the call (p:1)"
    );
    assert_eq!(decide(rules, "work", "vault"), "allow vault");
    assert_eq!(decide("", "work", "vault"), "deny: no rule allows the call");
    assert_eq!(
        decide("t * * * allow", "work", "vault"),
        "deny: no rule allows the call"
    );
}

#[test]
fn an_argument_is_matched_whole_and_none_is_an_empty_one() {
    let policy = policy(
        "s + work vault allow user=none\ns +a+b work vault allow user=ab\ns * work vault allow user=any",
    );
    let user = |service: &str| told(policy.evaluate(&system(), &call("work", "vault", service)));
    assert_eq!(user("s"), "allow vault as none");
    assert_eq!(user("s+"), "allow vault as none");
    assert_eq!(user("s+a+b"), "allow vault as ab");
    assert_eq!(user("s+a"), "allow vault as any");
}

#[test]
fn a_domain_is_the_same_under_its_name_and_its_uuid() {
    for rule in ["work", WORK_UUID] {
        for spelling in ["work", WORK_UUID] {
            let as_source = decide(&format!("s * {rule} vault allow"), spelling, "vault");
            assert_eq!(as_source, "allow vault", "{rule} {spelling}");
            let as_target = decide(&format!("s * vault {rule} allow"), "vault", spelling);
            assert_eq!(as_target, "allow work", "{rule} {spelling}");
        }
    }
}

#[test]
fn dom0_has_three_spellings_everywhere() {
    for rule in ["dom0", "@adminvm", DOM0_UUID] {
        for spelling in ["dom0", "@adminvm", DOM0_UUID] {
            let target = decide(&format!("s * work {rule} allow"), "work", spelling);
            assert_eq!(target, "allow dom0", "{rule} {spelling}");
            let source = decide(&format!("s * {rule} work allow"), spelling, "work");
            assert_eq!(source, "allow work", "{rule} {spelling}");
        }
        let redirect = decide(
            &format!("s * work vault allow target={rule}"),
            "work",
            "vault",
        );
        assert_eq!(redirect, "allow dom0");
    }
}

#[test]
fn anyvm_is_everything_but_dom0() {
    let rule = "s * @anyvm @anyvm allow target=personal";
    for target in [
        "vault",
        "",
        "@default",
        "@dispvm",
        "@dispvm:disp-net",
        "no-such",
    ] {
        assert_eq!(decide(rule, "work", target), "allow personal", "{target}");
    }
    assert_eq!(
        decide(rule, "work", "dom0"),
        "deny: no rule allows the call"
    );
    assert_eq!(
        decide(rule, "dom0", "work"),
        "deny: no rule allows the call"
    );
    assert_eq!(decide("s * * * allow", "work", "dom0"), "allow dom0");
    assert_eq!(decide("s * * * allow", "dom0", "work"), "allow work");
}

#[test]
fn what_does_not_exist_is_the_default() {
    let rules = "s * work no-such allow\ns * work @default allow target=vault";
    assert_eq!(decide(rules, "work", "no-such"), "allow vault");
    assert_eq!(decide(rules, "work", "not a name"), "allow vault");
    assert_eq!(
        decide(rules, "work", "uuid:99999999-9999-4999-8999-999999999999"),
        "allow vault"
    );
    assert_eq!(decide(rules, "work", ""), "allow vault");
    let left_over = decide("s * work @anyvm allow", "work", "no-such");
    assert!(
        left_over.starts_with("deny: the call names no target"),
        "{left_over}"
    );
}

#[test]
fn tags_and_types_are_those_of_the_domain() {
    assert_eq!(
        decide("s * @tag:office vault allow", "work", "vault"),
        "allow vault"
    );
    assert_eq!(
        decide("s * personal @tag:office allow", "personal", "work"),
        "allow work"
    );
    let other = "deny: no rule allows the call";
    assert_eq!(
        decide("s * @tag:office * allow", "personal", "vault"),
        other
    );
    assert_eq!(
        decide("s * @type:DispVM * allow", "disp1", "vault"),
        "allow vault"
    );
    assert_eq!(decide("s * * @type:AppVM allow", "work", "template"), other);
    // As in the reference, and against its documentation.
    assert_eq!(
        decide("s * work @type:AdminVM allow", "work", "dom0"),
        "allow dom0"
    );
    assert_eq!(
        decide("s * work @tag:trusted allow", "work", "dom0"),
        "allow dom0"
    );
    assert_eq!(
        decide("s * work @type:AppVM allow", "work", "@dispvm"),
        other
    );
}

#[test]
fn dispvm_is_only_the_word_itself() {
    let rule = "s * work @dispvm allow";
    assert_eq!(decide(rule, "work", "@dispvm"), "allow @dispvm:disp-base");
    assert_eq!(
        decide(rule, "work", "@dispvm:disp-base"),
        "deny: no rule allows the call"
    );
}

#[test]
fn a_rule_for_a_template_takes_the_callers_default_too() {
    for rule in [
        "@dispvm:disp-base".to_owned(),
        format!("@dispvm:{BASE_UUID}"),
    ] {
        let rules = format!("s * * {rule} allow");
        let base = "allow @dispvm:disp-base";
        assert_eq!(decide(&rules, "work", "@dispvm"), base);
        assert_eq!(decide(&rules, "work", "@dispvm:disp-base"), base);
        assert_eq!(
            decide(&rules, "work", &format!("@dispvm:{BASE_UUID}")),
            base
        );
        assert!(decide(&rules, "work", "@dispvm:disp-net").starts_with("deny"));
        // The reference raises an exception here.
        assert_eq!(
            decide(&rules, "vault", "@dispvm"),
            "deny: no rule allows the call"
        );
    }
}

#[test]
fn a_deny_for_a_template_by_uuid_cannot_be_got_around() {
    let rules = format!("s * * @dispvm:{BASE_UUID} deny\ns * * @dispvm allow");
    assert_eq!(
        decide(&rules, "work", "@dispvm"),
        "deny: a rule denies the call (p:1)"
    );
}

#[test]
fn a_tag_of_a_template_is_a_target() {
    let rules = "s * * @dispvm:@tag:online allow";
    assert_eq!(
        decide(rules, "work", "@dispvm:disp-net"),
        "allow @dispvm:disp-net"
    );
    assert!(decide(rules, "work", "@dispvm:disp-base").starts_with("deny"));
    assert!(decide(rules, "work", "@dispvm").starts_with("deny"));
}

#[test]
fn a_disposable_of_what_is_no_template_is_denied_before_any_rule() {
    for target in ["@dispvm:work", "@dispvm:no-such", "@dispvm:dom0"] {
        let told = decide("s * * * allow", "work", target);
        assert!(
            told.ends_with("is not a template for disposables"),
            "{told}"
        );
    }
}

#[test]
fn a_caller_without_a_default_gets_no_disposable() {
    let told = decide("s * * @dispvm allow", "vault", "@dispvm");
    assert_eq!(
        told,
        "deny: the caller has no default template for disposables (p:1)"
    );
    let told = decide("s * * @default allow target=@dispvm", "vault", "");
    assert_eq!(
        told,
        "deny: the caller has no default template for disposables (p:1)"
    );
}

#[test]
fn a_redirection_goes_where_it_says_if_that_is_there() {
    assert_eq!(
        decide("s * * * allow target=vault", "work", "@dispvm"),
        "allow vault"
    );
    assert_eq!(
        decide("s * * * allow target=@dispvm", "work", "vault"),
        "allow @dispvm:disp-base"
    );
    let told = decide("s * * * allow target=gone", "work", "vault");
    assert_eq!(
        told,
        "deny: the rule sends the call to `gone`, which does not exist (p:1)"
    );
    let told = decide("s * * * allow target=@dispvm:work", "work", "vault");
    assert_eq!(
        told,
        "deny: the rule sends the call to `@dispvm:work`, which does not exist (p:1)"
    );
}

#[test]
fn a_redirection_is_not_held_against_earlier_denies() {
    let rules = "s * work vault deny\ns * work @default allow target=vault";
    assert_eq!(decide(rules, "work", ""), "allow vault");
}

#[test]
fn nobody_calls_itself_under_any_spelling() {
    let loopback = |told: String| assert!(told.starts_with("deny: a domain cannot call"), "{told}");
    loopback(decide("s * * * allow", "work", "work"));
    loopback(decide("s * * * allow", WORK_UUID, "work"));
    loopback(decide(
        &format!("s * * * allow target={WORK_UUID}"),
        "work",
        "vault",
    ));
    loopback(decide("s * * * allow", "dom0", "@adminvm"));
    loopback(decide("s * * * allow target=dom0", "dom0", "work"));
}

#[test]
fn autostart_no_starts_nothing() {
    let rules = "s * * * allow autostart=no";
    assert_eq!(decide(rules, "work", "personal"), "allow personal");
    assert_eq!(decide(rules, "work", "dom0"), "allow dom0");
    assert_eq!(
        decide(rules, "work", "vault"),
        "deny: `vault` is not running, and the rule says `autostart=no` (p:1)"
    );
    assert_eq!(
        decide(rules, "work", "@dispvm"),
        "deny: a disposable would have to start, and the rule says `autostart=no` (p:1)"
    );
}

#[test]
fn an_unknown_caller_is_only_itself() {
    assert_eq!(
        decide("s * stranger vault allow", "stranger", "vault"),
        "allow vault"
    );
    assert_eq!(
        decide("s * @anyvm vault allow", "stranger", "vault"),
        "allow vault"
    );
    assert!(decide("s * @type:AppVM vault allow", "stranger", "vault").starts_with("deny"));
    // The reference raises an exception here.
    assert_eq!(
        decide("s * @anyvm vault ask", "stranger", "vault"),
        "deny: the rule asks the user of `stranger`, which does not exist (p:1)"
    );
}

#[test]
fn the_word_dispvm_and_the_own_template_are_two_targets_until_one_is_chosen() {
    // Only the word is denied: the template can still be asked for by its name.
    assert_eq!(
        decide(
            "s * work @dispvm deny\ns * work @dispvm:disp-base ask",
            "work",
            "@dispvm:disp-base"
        ),
        "ask @dispvm:disp-base"
    );
    // The template is denied, and with it the word, which would mean it. The reference offers
    // the template all the same.
    let rules = "s * work @dispvm:disp-base deny\ns * work @tag:office deny\ns * work @dispvm ask\n\
                 s * work vault ask\n";
    assert_eq!(decide(rules, "work", "vault"), "ask vault");
    // Whoever has no template of its own gets nothing for the word.
    assert_eq!(
        decide("s * vault @dispvm ask\ns * vault work ask", "vault", "work"),
        "ask work"
    );
}

#[test]
fn no_spelling_of_dom0_gets_around_a_deny_in_the_list() {
    for deny in [
        "dom0",
        "@adminvm",
        DOM0_UUID,
        "@type:AdminVM",
        "@tag:trusted",
    ] {
        for ask in ["*", "dom0", "@adminvm", "@type:AdminVM"] {
            let rules = format!("s * work {deny} deny\ns * work {ask} ask\ns * work vault ask");
            let told = decide(&rules, "work", "vault");
            assert!(
                told.starts_with("ask") && !told.contains("dom0"),
                "{rules}: {told}"
            );
        }
    }
}

#[test]
fn ask_offers_what_some_rule_would_let_through() {
    let rules = "\
        s * work vault deny\n\
        s * work @anyvm ask default_target=personal\n\
        s * work dom0 ask\n\
        t * work hidden allow\n";
    let all = "@dispvm:disp-base,@dispvm:disp-net,disp-base,disp-net,disp1,dom0,far,personal,remote,template";
    assert_eq!(
        decide(rules, "work", "personal"),
        format!("ask {all} default personal")
    );
    let rules =
        "s * work @tag:online deny\ns * work @type:AppVM ask\ns * @tag:office @dispvm allow";
    assert_eq!(
        decide(rules, "work", "vault"),
        "ask @dispvm:disp-base,disp-base,personal,vault"
    );
    let rules =
        "s * work @default ask\ns * work @dispvm:@tag:online allow\ns * personal vault allow";
    assert_eq!(decide(rules, "work", ""), "ask @dispvm:disp-net");
}

#[test]
fn ask_with_a_target_offers_that_and_nothing_else() {
    assert_eq!(
        decide("s * * * ask target=vault", "work", "personal"),
        "ask vault"
    );
    assert_eq!(
        decide("s * * * ask target=@adminvm", "work", "personal"),
        "ask dom0"
    );
    let told = decide("s * * * ask target=gone", "work", "personal");
    assert_eq!(
        told,
        "deny: the rule sends the call to `gone`, which does not exist (p:1)"
    );
}

#[test]
fn ask_without_anything_to_choose_is_deny() {
    let told = decide("s * work @default ask", "work", "");
    assert_eq!(
        told,
        "deny: the rule asks the user, but there is no target to choose (p:1)"
    );
    let told = decide("s * work vault ask autostart=no", "work", "vault");
    assert_eq!(
        told,
        "deny: the rule asks the user, but there is no target to choose (p:1)"
    );
}

#[test]
fn a_default_that_cannot_be_chosen_is_dropped() {
    assert_eq!(
        decide("s * * vault ask default_target=personal", "work", "vault"),
        "ask vault"
    );
    assert_eq!(
        decide(
            "s * * @dispvm ask default_target=@dispvm",
            "work",
            "@dispvm"
        ),
        "ask @dispvm:disp-base default @dispvm:disp-base"
    );
}

#[test]
fn only_a_choice_makes_a_grant() {
    let policy = policy("s * work vault ask user=keys\ns * work personal ask");
    let ask = || match policy.evaluate(&system(), &call("work", "vault", "s")) {
        Verdict::Ask(question) => question,
        other => panic!("{other:?}"),
    };
    let choice = ask().choices()[1].clone();
    let grant = ask().agreed(&choice, &system()).unwrap();
    assert_eq!(
        (grant.destination().to_string().as_str(), grant.user()),
        ("vault", Some("keys"))
    );
    let other = bulkhead_policy::Destination::Dom0;
    let refused = ask().agreed(&other, &system()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "`dom0` is not among the targets to choose from (p:1)"
    );
    assert_eq!(*ask().refused().denial(), Denial::UserRefused);
}

#[test]
fn a_remote_domain_is_called_through_its_relay() {
    let grant = |rules: &str, source: &str, target: &str| match policy(rules)
        .evaluate(&system(), &call(source, target, "s+x"))
    {
        Verdict::Allow(grant) => grant,
        other => panic!("{}", told(other)),
    };
    let allowed = grant("s * * remote allow user=root", "work", "remote");
    let relay = allowed.relay().unwrap();
    assert_eq!(relay.domain.name.as_str(), "personal");
    assert_eq!(relay.service, "my.Relay+remote+s+x");
    // Who runs the service there is not for a policy here to say.
    assert_eq!(allowed.user(), None);
    // The relay is told the name of where the call goes, whatever the caller asked for.
    let redirected = grant("s * * * allow target=remote", "work", "vault");
    assert_eq!(redirected.relay().unwrap().service, "my.Relay+remote+s+x");
    assert!(
        grant("s * * vault allow", "work", "vault")
            .relay()
            .is_none()
    );

    assert_eq!(
        decide("s * * * allow", "work", "far"),
        "deny: `far` is a remote domain without a relay, or without the service that carries calls (p:1)"
    );
    assert_eq!(
        decide("s * * * allow", "personal", "remote"),
        "deny: a domain cannot call itself (p:1)"
    );
}

#[test]
fn the_user_may_choose_a_remote_domain() {
    let ask = |target: &str| {
        let rules = format!("s * work @default ask target={target}");
        match policy(&rules).evaluate(&system(), &call("work", "", "s")) {
            Verdict::Ask(question) => question,
            other => panic!("{}", told(other)),
        }
    };
    let choice = ask("remote").choices()[0].clone();
    let grant = ask("remote").agreed(&choice, &system()).unwrap();
    assert_eq!(grant.relay().unwrap().service, "my.Relay+remote+s+");
    let choice = ask("far").choices()[0].clone();
    let refused = ask("far").agreed(&choice, &system()).unwrap_err();
    assert_eq!(*refused.denial(), Denial::Unreachable("far".into()));
}

#[test]
fn only_its_relay_speaks_for_a_remote_domain() {
    let speaks = |relay: &str, remote: &str| {
        let [relay, remote] = [relay, remote].map(|text| DomainRef::parse(text).unwrap());
        Relay::may_speak_for(&relay, &remote, &system())
    };
    assert_eq!(speaks("personal", "remote"), Ok(()));
    for (relay, remote) in [("work", "remote"), ("personal", "far"), ("gone", "remote")] {
        let error = speaks(relay, remote).unwrap_err();
        assert!(matches!(error, Denial::NotRelay { .. }), "{relay} {remote}");
    }
    for remote in ["work", "gone", "dom0"] {
        let error = speaks("personal", remote).unwrap_err();
        assert_eq!(error, Denial::NotRemote(remote.into()));
    }
}

#[test]
fn whether_the_user_is_told_is_the_rules_word() {
    let notify = |rules: &str| match policy(rules).evaluate(&system(), &call("work", "vault", "s"))
    {
        Verdict::Allow(grant) => grant.notify(),
        Verdict::Deny(reason) => reason.notify(),
        Verdict::Ask(_) => panic!(),
    };
    assert!(!notify("s * * * allow"));
    assert!(notify("s * * * allow notify=yes"));
    assert!(notify("s * * * deny"));
    assert!(!notify("s * * * deny notify=no"));
    // What a rule's own words refuse, it may refuse silently.
    assert!(!notify("s * * * allow autostart=no"));
    assert!(notify("s * * * allow autostart=no notify=yes"));
    assert!(notify("s * * * allow target=gone"));
    assert!(notify(""));
}

#[test]
fn the_empty_policy_denies() {
    let verdict = Policy::empty().evaluate(&system(), &call("work", "vault", "s"));
    assert_eq!(told(verdict), "deny: no rule allows the call");
}
