// SPDX-License-Identifier: GPL-3.0-or-later
//! Questions that a rule puts to the user.

use std::os::unix::net::UnixStream;

use policy_agent_protocol::Resolution;

use crate::agent::Agent;
use crate::fixture::{Machine, question, read};

const POLICY: &str = "\
qubes.Filecopy  *  @anyvm  vault     deny notify=no
qubes.Filecopy  *  @anyvm  @anyvm    ask default_target=personal
qubes.Quiet     *  @anyvm  @adminvm  deny notify=no
qubes.Loud      *  @anyvm  @adminvm  deny
qubes.Told      *  @anyvm  @adminvm  allow notify=yes
qubes.Files     *  dom0    @anyvm    ask
";

/// The domains while `work` runs for the first time.
fn system() -> String {
    let domain = |name: &str, number: u8, rest: &str| {
        format!(
            r#""{name}": {{"type": "AppVM", "uuid": "{number}1111111-1111-4111-8111-111111111111", "guivm": "dom0", {rest}}}"#
        )
    };
    let parts = [
        r#""dom0": {"type": "AdminVM", "uuid": "00000000-0000-0000-0000-000000000000", "power_state": "Running", "domid": 0, "icon": "adminvm-black", "label": "black"}"#
            .to_owned(),
        domain("work", 1, r#""power_state": "Running", "domid": 5, "icon": "appvm-blue", "label": "blue", "default_dispvm": "base""#),
        domain("personal", 2, r#""power_state": "Halted", "domid": null, "icon": "appvm-green", "label": "green""#),
        domain("untrusted", 3, r#""power_state": "Running", "domid": 9, "icon": "appvm-red", "label": "red""#),
        domain("vault", 4, r#""power_state": "Halted""#),
        domain("base", 5, r#""power_state": "Halted", "template_for_dispvms": true, "icon": "appvm-red", "label": "red""#),
        r#""afar": {"type": "AppVM", "guivm": "untrusted", "power_state": "Running", "domid": 11}"#.to_owned(),
        r#""server": {"type": "AppVM", "power_state": "Running", "domid": 12}"#.to_owned(),
    ];
    format!(r#"{{"domains": {{{}}}}}"#, parts.join(","))
}

/// `work` has been stopped and started, and a domain was created: that is what the fixture
/// sees.
fn system_later() -> String {
    let created = r#"{"domains": {"created": {"type": "AppVM"}, "#;
    let system = system().replace(r#""domid": 5"#, r#""domid": 6"#);
    system.replace(r#"{"domains": {"#, created)
}

fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.install("30-user.policy", POLICY);
    machine.start();
    machine.manager_answers(&system());
    machine
}

/// A call of a domain that waits for its answer.
fn call(machine: &Machine, source: &str, target: &str, service: &str) -> UnixStream {
    machine.connect(&question(source, target, service))
}

fn copy(machine: &Machine) -> UnixStream {
    call(machine, "work", "personal", "qubes.Filecopy")
}

/// What the ledger keeps of the last call: verdict, prompt and reason.
fn last(machine: &Machine) -> String {
    let record = machine.records().pop().unwrap();
    let words = [record.prompt, record.reason].map(|word| word.unwrap_or_default());
    format!("{}: {}; {}", record.verdict, words[0], words[1])
}

#[test]
fn the_user_is_shown_who_asks_for_what_and_chooses_the_target() {
    let machine = machine();
    let agent = Agent::of(&machine);
    let caller = call(&machine, "work", "nobody\u{1b}-there", "qubes.Filecopy+a");
    let shown = agent.shown();
    insta::assert_snapshot!(machine.without_root(&shown.text).replace('\0', "\n"), @r#"
    policy.Ask dom0 name dom0
    {"source":"work","service":"qubes.Filecopy","argument":"+a","targets":["@dispvm:base","afar","base","personal","server","untrusted"],"default_target":"personal","icons":{"@dispvm:base":"dispvm-red","afar":"","base":"appvm-red","personal":"appvm-green","server":"","untrusted":"appvm-red","work":"appvm-blue"},"labels":{"@dispvm:base":"red","afar":"","base":"red","personal":"green","server":"","untrusted":"red","work":"blue"},"requested_target":"@default","rule":"ROOT/etc/bulkhead/policy.d/30-user.policy:2","lasting":["once","10m","running"]}
    "#);
    shown.answer("allow:@dispvm:base");
    let answer = machine.without_root(&read(caller));
    let (terms, number) = answer.rsplit_once("record=").unwrap();
    assert!(number.trim().parse::<u64>().is_ok(), "{number}");
    insta::assert_snapshot!(terms, @r"
    user=DEFAULT
    result=allow
    target=@dispvm:base
    target_uuid=@dispvm:uuid:51111111-1111-4111-8111-111111111111
    autostart=True
    requested_target=@default
    rule=ROOT/etc/bulkhead/policy.d/30-user.policy:2
    ");
    insta::assert_snapshot!(last(&machine), @"allow: allowed, to @dispvm:base;");
}

#[test]
fn without_a_prompt_the_call_is_refused_and_says_so() {
    let machine = machine();
    insta::assert_snapshot!(machine.without_root(&read(copy(&machine))), @r"
    result=deny
    reason=the rule asks the user, and nobody can be asked: no prompt runs in dom0's session
    rule=ROOT/etc/bulkhead/policy.d/30-user.policy:2
    ");
    // One that has died without clearing up is none either.
    drop(Agent::of(&machine));
    assert!(read(copy(&machine)).contains("no prompt runs in dom0's session"));
    let agent = Agent::of(&machine);
    let caller = copy(&machine);
    agent.shown().answer("allow:personal");
    assert!(read(caller).contains("target=personal"));
}

#[test]
fn whatever_is_not_an_agreement_to_what_was_offered_refuses() {
    let machine = machine();
    let agent = Agent::of(&machine);
    let mut told = String::new();
    for answer in [
        "deny",
        "allow:vault",
        "allow:work",
        "allow:dom0",
        "allow:",
        "allow:personal\n",
        "allow:personal\nfor=ever",
        "yes",
        "",
        "deny\nbecause=time-out",
        "deny\nbecause=not-shown",
    ] {
        let caller = copy(&machine);
        agent.shown().answer(answer);
        let said = read(caller);
        assert!(said.contains("result=deny"), "{answer}: {said}");
        told.push_str(&format!("{answer:?}: {}\n", last(&machine)));
    }
    insta::assert_snapshot!(told, @r#"
    "deny": deny: refused; the user refused
    "allow:vault": deny: allowed, to vault; `vault` is not among the targets to choose from
    "allow:work": deny: allowed, to work; `work` is not among the targets to choose from
    "allow:dom0": deny: allowed, to dom0; `dom0` is not among the targets to choose from
    "allow:": deny: ; the rule asks the user, and the prompt failed: the agent's answer names no target
    "allow:personal\n": deny: ; the rule asks the user, and the prompt failed: the agent's answer names no target
    "allow:personal\nfor=ever": deny: ; the rule asks the user, and the prompt failed: the agent's answer is to be kept for a time that was not offered
    "yes": deny: ; the rule asks the user, and the prompt failed: the agent's answer is neither `allow:TARGET` nor `deny`
    "": deny: ; the rule asks the user, and the prompt failed: the agent gave no answer
    "deny\nbecause=time-out": deny: no answer; the user did not answer in time
    "deny\nbecause=not-shown": deny: not asked; too many questions wait for the user
    "#);
}

#[test]
fn while_the_user_thinks_everybody_else_is_answered() {
    let machine = machine();
    let agent = Agent::of(&machine);
    let caller = copy(&machine);
    let shown = agent.shown();
    for _ in 0..50 {
        assert!(
            machine
                .ask("work", "dom0", "qubes.Quiet")
                .contains("result=deny")
        );
    }
    assert_eq!(machine.status().waiting, 1);
    shown.answer("allow:personal");
    assert!(read(caller).contains("result=allow"));
    assert_eq!(machine.status().waiting, 0);
}

#[test]
fn a_domain_that_asks_without_end_fills_its_own_places_only() {
    let machine = machine();
    let agent = Agent::of(&machine);
    let callers: Vec<_> = (0..8)
        .map(|n| {
            call(
                &machine,
                "untrusted",
                "work",
                &format!("qubes.Filecopy+{n}"),
            )
        })
        .collect();
    let shown: Vec<_> = callers.iter().map(|_| agent.shown()).collect();
    let refused = machine.ask("untrusted", "work", "qubes.Filecopy+9");
    insta::assert_snapshot!(machine.without_root(&refused), @r"
    result=deny
    reason=8 questions of `untrusted` wait for the user already
    rule=ROOT/etc/bulkhead/policy.d/30-user.policy:2
    ");
    let caller = copy(&machine);
    let own = agent.shown();
    assert_eq!(own.ask.source.as_str(), "work");
    own.answer("allow:personal");
    assert!(read(caller).contains("result=allow"));
    // Answered in any order.
    for shown in shown.into_iter().rev() {
        let verdict = match shown.ask.argument.as_str() {
            "+3" => "allow:work",
            _ => "deny",
        };
        shown.answer(verdict);
    }
    let allowed = callers
        .into_iter()
        .map(read)
        .map(|said| said.contains("result=allow"));
    let allowed: Vec<_> = allowed.collect();
    assert_eq!(allowed, (0..8).map(|n| n == 3).collect::<Vec<_>>());
}

#[test]
fn a_question_goes_with_its_asker_and_its_source() {
    let mut machine = machine();
    let agent = Agent::of(&machine);
    let caller = copy(&machine);
    let shown = agent.shown();
    drop(caller);
    shown.await_withdrawal();
    let caller = copy(&machine);
    let shown = agent.shown();
    machine.manager_says(&system_later());
    shown.await_withdrawal();
    assert!(read(caller).contains("result=deny"));
    insta::assert_snapshot!(last(&machine), @"deny: ; the caller stopped while the user was asked");
}

#[test]
fn the_policy_decides_again_when_the_user_has_answered() {
    let machine = machine();
    let agent = Agent::of(&machine);
    let caller = copy(&machine);
    let shown = agent.shown();
    machine.install("10-first.policy", "qubes.Filecopy * * personal deny\n");
    machine.await_notification("STATUS=7 rules");
    shown.answer("allow:personal");
    assert!(read(caller).contains("result=deny"));
    insta::assert_snapshot!(last(&machine), @"deny: allowed, to personal; a rule denies the call");
}

#[test]
fn an_answer_that_is_kept_counts_for_the_same_question_until_the_source_stops() {
    let mut machine = machine();
    let agent = Agent::of(&machine);
    let caller = copy(&machine);
    agent.shown().answer("allow:@dispvm:base\nfor=running");
    assert!(read(caller).contains("target=@dispvm:base"));
    insta::assert_snapshot!(last(&machine), @"allow: allowed, to @dispvm:base, until work stops;");
    assert!(read(copy(&machine)).contains("target=@dispvm:base"));
    insta::assert_snapshot!(last(&machine), @"allow: allowed before, to @dispvm:base;");
    assert!(!agent.is_asked());
    assert_eq!(machine.status().kept_answers, 1);
    for (source, target, service) in [
        ("work", "personal", "qubes.Filecopy+x"),
        ("work", "untrusted", "qubes.Filecopy"),
        ("work", "", "qubes.Filecopy"),
        ("untrusted", "personal", "qubes.Filecopy"),
    ] {
        let caller = call(&machine, source, target, service);
        agent.shown().answer("deny");
        assert!(read(caller).contains("result=deny"));
    }
    // Stopped and started, with nothing told of the time between.
    machine.manager_says(&system_later());
    assert_eq!(machine.status().kept_answers, 0);
    let caller = copy(&machine);
    agent.shown().answer("deny");
    assert!(read(caller).contains("result=deny"));
}

#[test]
fn an_answer_that_is_kept_ends_with_the_policy_it_was_given_under() {
    let machine = machine();
    let agent = Agent::of(&machine);
    let caller = copy(&machine);
    agent.shown().answer("allow:personal\nfor=10m");
    assert!(read(caller).contains("result=allow"));
    machine.install("31-more.policy", "qubes.Other * * * deny\n");
    machine.await_notification("STATUS=7 rules");
    let caller = copy(&machine);
    agent.shown().answer("deny");
    assert!(read(caller).contains("result=deny"));
}

#[test]
fn the_same_question_asked_twice_is_answered_once_when_the_answer_is_kept() {
    let machine = machine();
    let agent = Agent::of(&machine);
    let callers = [copy(&machine), copy(&machine)];
    let [first, second] = [agent.shown(), agent.shown()];
    first.answer("deny\nfor=10m");
    second.await_withdrawal();
    for caller in callers {
        assert!(read(caller).contains("reason=the user refused"));
    }
    assert!(read(copy(&machine)).contains("reason=the user refused"));
    insta::assert_snapshot!(last(&machine), @"deny: refused before; the user refused");
}

#[test]
fn without_a_screen_nobody_is_asked_and_dom0_has_its_own() {
    let machine = machine();
    let agent = Agent::of(&machine);
    let mut told = String::new();
    for source in ["server", "afar"] {
        let said = machine.ask(source, "work", "qubes.Filecopy");
        told.push_str(&machine.without_root(&said));
    }
    insta::assert_snapshot!(told, @r"
    result=deny
    reason=the rule asks the user, and nobody can be asked
    rule=ROOT/etc/bulkhead/policy.d/30-user.policy:2
    result=deny
    reason=the rule asks the user at `untrusted`, which only dom0's can be
    rule=ROOT/etc/bulkhead/policy.d/30-user.policy:2
    ");
    assert!(!agent.is_asked());
    let caller = call(&machine, "dom0", "work", "qubes.Files");
    agent.shown().answer("allow:work");
    assert!(read(caller).contains("target=work"));
}

#[test]
fn who_only_wants_to_know_bothers_nobody() {
    let machine = machine();
    let agent = Agent::of(&machine);
    let text = String::from_utf8(question("work", "personal", "qubes.Filecopy")).unwrap();
    let said = machine.send(format!("just_evaluate=yes\n{text}").as_bytes());
    assert!(said.contains("result=deny"));
    assert!(!agent.is_asked());
}

#[test]
fn the_user_is_told_of_refusals_and_where_a_rule_says_so() {
    let machine = machine();
    let agent = Agent::of(&machine);
    machine.ask("work", "dom0", "qubes.Quiet");
    machine.ask("work", "dom0", "qubes.Loud+x");
    let told = agent.told();
    assert_eq!(
        (told.resolution, told.service.as_str()),
        (Resolution::Deny, "qubes.Loud")
    );
    assert_eq!(
        (told.source.as_str(), told.target.as_str()),
        ("work", "dom0")
    );
    machine.ask("work", "dom0", "qubes.Told");
    assert_eq!(agent.told().resolution, Resolution::Allow);
    // The same again is no news, and nor is what cannot be shown.
    machine.ask("work", "dom0", "qubes.Loud+x");
    machine.ask("work", "<b>dom0</b>", "qubes.Loud+x");
    machine.ask("work", "@adminvm", "qubes.Unheard");
    assert_eq!(agent.told().service, "qubes.Unheard");
}
