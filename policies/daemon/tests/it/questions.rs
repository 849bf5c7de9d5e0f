// SPDX-License-Identifier: GPL-3.0-or-later
//! What is asked, what is answered, and what is written down.

use std::io::Write;
use std::net::Shutdown;

use crate::fixture::{Machine, SYSTEM, question, read};

const POLICY: &str = "\
# the rules of these tests
qubes.Filecopy  *  work  vault    deny notify=no
qubes.OpenInVM  *  *     @dispvm  allow
qubes.Gpg       *  work  @default allow target=vault user=keys autostart=no
qubes.GetDate   *  work  @adminvm allow
qubes.Url       *  work  @anyvm   ask
";

fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.install("30-user.policy", POLICY);
    machine.start();
    machine.manager_answers(SYSTEM);
    machine
}

#[test]
fn an_allowed_call_is_told_its_terms() {
    let machine = machine();
    let answer = machine.ask("work", "@dispvm", "qubes.OpenInVM");
    insta::assert_snapshot!(machine.without_root(&answer), @r"
    user=DEFAULT
    result=allow
    target=@dispvm:disp-base
    target_uuid=@dispvm:uuid:33333333-3333-4333-8333-333333333333
    autostart=True
    requested_target=@dispvm
    rule=ROOT/etc/bulkhead/policy.d/30-user.policy:3
    record=2
    ");
    let answer = machine.ask("work", "dom0", "qubes.GetDate+utc");
    insta::assert_snapshot!(machine.without_root(&answer), @r"
    user=DEFAULT
    result=allow
    target=dom0
    autostart=True
    requested_target=dom0
    rule=ROOT/etc/bulkhead/policy.d/30-user.policy:5
    record=3
    ");
}

#[test]
fn a_refused_call_is_told_why() {
    let machine = machine();
    let answer = machine.ask("work", "vault", "qubes.Filecopy");
    insta::assert_snapshot!(machine.without_root(&answer), @r"
    result=deny
    reason=a rule denies the call
    rule=ROOT/etc/bulkhead/policy.d/30-user.policy:2
    ");
    let answer = machine.ask("work", "", "qubes.Gpg");
    insta::assert_snapshot!(machine.without_root(&answer), @r"
    result=deny
    reason=`vault` is not running, and the rule says `autostart=no`
    rule=ROOT/etc/bulkhead/policy.d/30-user.policy:4
    ");
    insta::assert_snapshot!(machine.ask("work", "vault", "qubes.Unheard"), @r"
    result=deny
    reason=no rule allows the call
    ");
    insta::assert_snapshot!(machine.ask("work", "@tag:x", "qubes.OpenInVM"), @r"
    result=deny
    reason=`@tag:x` is not a target a call can ask for
    ");
    insta::assert_snapshot!(machine.ask("wo rk", "@dispvm", "qubes.OpenInVM"), @r"
    result=deny
    reason=`wo rk` cannot name a domain
    ");
}

#[test]
fn a_question_for_the_user_is_refused_unless_the_answer_is_assumed() {
    let machine = machine();
    let answer = machine.ask("work", "vault", "qubes.Url");
    assert!(answer.contains("reason=the rule asks the user, and nobody can be asked"));
    let assuming = |target: &str| {
        let text = String::from_utf8(question("work", target, "qubes.Url")).unwrap();
        machine.send(format!("assume_yes_for_ask=yes\njust_evaluate=yes\n{text}").as_bytes())
    };
    assert!(assuming("vault").contains("target=vault\n"));
    assert!(assuming("@dispvm").contains("target=@dispvm:disp-base\n"));
    assert!(
        assuming("work").contains("result=deny\n"),
        "work is the caller itself"
    );
    assert!(assuming("").contains("result=deny\n"), "nothing was chosen");
    assert!(machine.records().last().unwrap().just_evaluated);
}

#[test]
fn what_is_no_question_gets_no_answer_and_no_record() {
    let machine = machine();
    let good = String::from_utf8(question("work", "vault", "qubes.Filecopy")).unwrap();
    for bad in [
        String::new(),
        "\n".to_owned(),
        good.trim_end().to_owned(),
        format!("source=dom0\n{good}"),
        format!("result=allow\n{good}"),
        format!("assume_yes_for_ask=maybe\n{good}"),
        good.replace("work", "wo\0rk"),
        good.replace("qubes.Filecopy", &"a".repeat(70_000)),
    ] {
        let mut stream = machine.connect(b"");
        // The daemon may hang up before it has read all of the longest one.
        let _ = stream.write_all(bad.as_bytes());
        let _ = stream.shutdown(Shutdown::Write);
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut rest);
        assert!(rest.is_empty(), "{bad:.80}");
    }
    assert!(machine.records().is_empty());
    assert!(
        machine
            .ask("work", "vault", "qubes.Filecopy")
            .contains("deny")
    );
}

#[test]
fn every_decision_is_in_the_ledger_before_its_answer() {
    let machine = machine();
    for n in 1..=20 {
        let answer = machine.ask("work", "@dispvm", &format!("qubes.OpenInVM+{n}"));
        assert!(answer.contains("result=allow"));
        assert_eq!(machine.records().len(), n);
    }
    let mut first = machine.records().swap_remove(0);
    first.rule = first.rule.map(|rule| machine.without_root(&rule));
    insta::assert_debug_snapshot!(first, @r#"
    Decision {
        source: "work",
        requested_target: "@dispvm",
        service: "qubes.OpenInVM+1",
        verdict: "allow",
        rule: Some(
            "ROOT/etc/bulkhead/policy.d/30-user.policy:3",
        ),
        reason: None,
        target: Some(
            "@dispvm:disp-base",
        ),
        generation: None,
        prompt: None,
        grant: None,
        just_evaluated: false,
    }
    "#);
}

#[test]
fn the_longest_service_is_decided_and_recorded_whole() {
    let machine = machine();
    let name = "qubes.OpenInVM+";
    let service = format!("{name}{}", "x".repeat(65_000 - name.len()));
    assert!(
        machine
            .ask("work", "@dispvm", &service)
            .contains("result=allow")
    );
    assert_eq!(machine.records()[0].service, service);
}

#[test]
fn the_end_of_an_allowed_call_is_told_by_its_number_and_recorded() {
    use policy_ledger::Event;
    let machine = machine();
    let denied = machine.ask("work", "vault", "qubes.Filecopy");
    assert!(!denied.contains("record="), "{denied}");
    let answer = machine.ask("work", "@dispvm", "qubes.OpenInVM");
    let line = answer.lines().find(|line| line.starts_with("record="));
    let report =
        |line: &str| format!("{line}\nsource=work\npolicy_us=60\nend_us=5000\nhow=over\n\n");
    assert_eq!(machine.send(report(line.unwrap()).as_bytes()), "");
    // A call that never was, and what is no report.
    assert_eq!(machine.send(report("record=99").as_bytes()), "");
    assert_eq!(machine.send(b"record=1\n\n"), "");
    let ends: Vec<_> = machine
        .ledger()
        .into_iter()
        .filter_map(|entry| match entry.event {
            Event::Close(close) => Some((format!("record={}", close.call), close.end)),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [(line.unwrap().to_owned(), "over".to_owned())]);
}

#[test]
fn a_slow_asker_keeps_nobody_waiting() {
    let machine = machine();
    let slow: Vec<_> = (0..200)
        .map(|_| machine.connect(b"source=work\n"))
        .collect();
    assert!(
        machine
            .ask("work", "vault", "qubes.Filecopy")
            .contains("deny")
    );
    // One of them comes to the point after all.
    let mut late = slow.into_iter().next().unwrap();
    late.write_all(b"intended_target=@dispvm\nservice_and_arg=qubes.OpenInVM\n\n")
        .unwrap();
    assert!(read(late).contains("result=allow"));
}

#[test]
fn a_guests_text_cannot_forge_a_line_of_the_log_or_the_ledger() {
    let machine = machine();
    let target = "x\u{1b}[2J\r{\"sequence\":9}";
    assert!(
        machine
            .ask("work", target, "qubes.OpenInVM")
            .contains("result=deny")
    );
    assert!(!machine.logged().contains('\u{1b}'));
    let records = machine.records();
    assert_eq!(
        (records.len(), records[0].requested_target.as_str()),
        (1, target)
    );
}
