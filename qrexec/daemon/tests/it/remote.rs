// SPDX-License-Identifier: GPL-3.0-or-later
//! Domains on other machines: a relay speaks for them, and calls to them go to their relay.

use std::collections::HashMap;

use crate::fixture::{Fixture, allow, finish};

/// As the policy daemon decides where `far` is a domain of another machine, reached through the domain
/// `relay` and its service `my.Relay`.
fn policy(question: &HashMap<String, String>) -> String {
    let claimed = question.get("requested_source");
    match (&question["source"][..], claimed.map(String::as_str)) {
        ("relay", Some("far")) => format!("{}policy_source=far\n", allow(question)),
        (_, Some(_)) => "result=deny\nreason=it does not speak for that domain\n".to_owned(),
        (_, None) if question["intended_target"] == "far" => {
            let service = &question["service_and_arg"];
            let plus = if service.contains('+') { "" } else { "+" };
            format!(
                "user=DEFAULT\nresult=allow\ntarget=relay\nautostart=True\nrequested_target=far\n\
                 service=my.Relay+far+{service}{plus}\n"
            )
        }
        (_, None) => allow(question),
    }
}

fn machine() -> std::sync::Arc<Fixture> {
    let fixture = Fixture::without_policy();
    fixture.policy(Box::new(policy));
    fixture.domain(1, "relay");
    fixture.domain(2, "work");
    let tell = r#"echo "$0 $QREXEC_REMOTE_DOMAIN $QREXEC_SERVICE_ARGUMENT" | sed 's,.*/,,'"#;
    fixture.service("test.Tell", tell);
    fixture.service("my.Relay", tell);
    fixture
}

#[test]
fn a_relay_calls_for_a_domain_of_another_machine_and_services_see_that_one() {
    let fixture = machine();
    let calls = [("work", "test.Tell far x\n"), ("dom0", "test.Tell far x\n")];
    for (target, told) in calls {
        let mut call = fixture.domain_calls(1, target, "test.Tell+x");
        let outcome = finish(&mut first(&mut call, "--source-qube=far"), b"");
        assert_eq!((outcome.code, outcome.text()), (Some(0), told));
    }
}

#[test]
fn nobody_else_speaks_for_it() {
    let fixture = machine();
    let mut call = fixture.domain_calls(2, "dom0", "test.Tell");
    let outcome = finish(&mut first(&mut call, "--source-qube=far"), b"");
    assert_eq!((outcome.code, outcome.text()), (Some(126), ""));
}

#[test]
fn a_call_to_it_is_a_call_of_the_relays_service_with_all_that_was_asked_for() {
    let fixture = machine();
    for (service, told) in [
        ("test.Tell", "my.Relay work far+test.Tell+\n"),
        ("test.Tell+x+y", "my.Relay work far+test.Tell+x+y\n"),
    ] {
        let outcome = finish(&mut fixture.domain_calls(2, "far", service), b"");
        assert_eq!(
            (outcome.code, outcome.text()),
            (Some(0), told),
            "{outcome:?}"
        );
    }
}

/// The same call with an option before everything else.
fn first(call: &mut std::process::Command, option: &str) -> std::process::Command {
    let mut command = std::process::Command::new(call.get_program());
    command.arg(option).args(call.get_args());
    for (name, value) in call.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}
