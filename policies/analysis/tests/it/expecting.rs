// SPDX-License-Identifier: GPL-3.0-or-later
//! Files of expectations: how a failed one and a misspelt one are shown.

use bulkhead_policy::{Rejected, System};
use policy_analysis::Expectations;

use policy_samples::shown;
use policy_samples::small::policy;

#[test]
fn what_is_not_met_is_shown_with_the_rule_that_decided() {
    let text = "\
domain work AppVM default_dispvm=base tags=a,b uuid=11111111-1111-4111-8111-111111111111
domain vault AppVM halted
domain base AppVM template_for_dispvms internal
work -> vault s deny
work -> vault s allow target=work
work -> vault s allow target=vault user=keys autostart=yes
work -> @dispvm s allow
work -> t ask targets=vault default_target=vault
work -> u deny
";
    let policy = policy(
        "s * work vault allow user=keys\nt * @tag:b vault ask default_target=vault\nt * @tag:b @default ask default_target=vault",
    );
    let expectations = Expectations::parse("t", text).unwrap();
    assert_eq!(expectations.len(), 6);
    let failed = Rejected {
        diagnostics: expectations.check(&policy, &System::default()),
        sources: expectations.sources().clone(),
    };
    insta::assert_snapshot!(shown(&failed), @r"
    t:4:1: error: expected `deny`, the policy says `allow`
      | work -> vault s deny
      | ^^^^^^^^^^^^^^^^^^^^ 
      note: decided by p:1: `s * work vault allow user=keys`
    t:5:23: error: expected `target=work`, found `vault`
      | work -> vault s allow target=work
      |                       ^^^^^^^^^^^ 
      note: decided by p:1: `s * work vault allow user=keys`
    t:7:1: error: expected `allow`, the policy says `deny`
      | work -> @dispvm s allow
      | ^^^^^^^^^^^^^^^^^^^^^^^ no rule allows the call
      note: no rule decided
    ");
}

#[test]
fn lines_that_are_none_are_all_told() {
    let text = "\
domain work
domain work AppVM halt
work vault s deny
work -> vault s denny
work -> @dispvm: s deny
work -> vault s allow usr=x
";
    insta::assert_snapshot!(shown(&Expectations::parse("t", text).unwrap_err()), @r"
    t:1:1: error: expected `domain NAME CLASS`
      | domain work
      | ^^^^^^ 
    t:2:19: error: a domain has no property `halt`
      | domain work AppVM halt
      |                   ^^^^ 
      help: did you mean `halted`?
    t:3:1: error: expected `SOURCE -> TARGET SERVICE VERDICT`
      | work vault s deny
      | ^^^^^^^^^^^^^^^^^ 
      note: a domain is declared by `domain NAME CLASS`
    t:4:17: error: expected `allow`, `deny` or `ask`, found `denny`
      | work -> vault s denny
      |                 ^^^^^ 
      help: did you mean `deny`?
    t:5:9: error: `@dispvm:` is not a target a call can ask for
      | work -> @dispvm: s deny
      |         ^^^^^^^^ 
    t:6:23: error: nothing can be expected of `usr`
      | work -> vault s allow usr=x
      |                       ^^^^^ 
      help: did you mean `user`?
    ");
}

#[test]
fn an_expectation_of_a_domain_that_is_not_there_is_not_met() {
    let expectations = Expectations::parse("t", "work -> vault qubes.Gpg deny\n").unwrap();
    let failures = expectations.check(
        &policy("qubes.Gpg * work vault allow\n"),
        &System::default(),
    );
    let rejected = Rejected {
        diagnostics: failures,
        sources: expectations.sources().clone(),
    };
    insta::assert_snapshot!(shown(&rejected), @r"
    t:1:1: error: there is no domain `work` that could call
      | work -> vault qubes.Gpg deny
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 
      note: the domains that a file is about are declared in it: `domain NAME CLASS`
    ");
}

#[test]
fn an_expectation_of_all_domains_of_a_kind_is_held_against_each() {
    let text = "\
domain work AppVM tags=office
domain mail AppVM tags=office
domain vault AppVM
domain far RemoteVM relayvm=mail transport_rpc=t.Send
domain unseen AppVM guivm=
@tag:office -> vault qubes.Gpg allow
@anyvm -> vault qubes.Gpg allow
* -> @anyvm qubes.VMShell deny
work -> @type:AppVM qubes.Filecopy ask
work -> far qubes.Remote allow target=far
work -> mail quiet deny notify=no
work -> mail loud deny notify=no
work -> mail qubes.Filecopy ask targets=vault,unseen,mail,far
@tag:gone -> vault qubes.Gpg deny
work -> @type:DispVM qubes.Gpg deny
";
    let policy = policy(
        "\
qubes.Gpg * @tag:office vault allow
qubes.VMShell * work @dispvm ask
qubes.VMShell * mail vault allow
qubes.Filecopy * work @anyvm ask
qubes.Remote * work far allow
quiet * * * deny notify=no
loud * * * deny
",
    );
    let expectations = Expectations::parse("t", text).unwrap();
    let failed = Rejected {
        diagnostics: expectations.check(&policy, &System::default()),
        sources: expectations.sources().clone(),
    };
    insta::assert_snapshot!(shown(&failed), @r"
    t:7:1: error: expected `allow`, the policy says `deny`
      | @anyvm -> vault qubes.Gpg allow
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ no rule allows the call
      note: no rule decided
      note: for far -> vault, and for 2 other calls
    t:8:1: error: expected `deny`, the policy says `allow`
      | * -> @anyvm qubes.VMShell deny
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 
      note: decided by p:3: `qubes.VMShell * mail vault allow`
      note: for mail -> vault
    t:12:24: error: expected `notify=no`, found `yes`
      | work -> mail loud deny notify=no
      |                        ^^^^^^^^^ 
      note: decided by p:7: `loud * * * deny`
    t:14:1: error: there is no domain with the tag `gone` that could call
      | @tag:gone -> vault qubes.Gpg deny
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 
      note: the domains that a file is about are declared in it: `domain NAME CLASS`
    t:15:1: error: there is no domain of the class `DispVM` to call
      | work -> @type:DispVM qubes.Gpg deny
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 
      note: the domains that a file is about are declared in it: `domain NAME CLASS`
    ");
}
