// SPDX-License-Identifier: GPL-3.0-or-later
//! Policy at the command line, offline: what the tests start from.

mod changing;
mod checking;
mod comparing;
mod explaining;
mod generations;

use crate::fixture::Fixture;

const SYSTEM: &str = r#"{"domains":{
    "dom0":{"type":"AdminVM","power_state":"Running"},
    "work":{"type":"AppVM","power_state":"Running"},
    "personal":{"type":"AppVM","power_state":"Halted"},
    "untrusted":{"type":"AppVM","power_state":"Running","default_dispvm":"disp-base"},
    "disp-base":{"type":"AppVM","power_state":"Halted","template_for_dispvms":true}}}"#;

const POLICY: &str = "\
# Files go where they are safe.
qubes.Filecopy * work personal allow
qubes.Filecopy * untrusted @anyvm deny
qubes.OpenInVM * @anyvm @dispvm allow
";

fn offline() -> Fixture {
    let fixture = Fixture::alone();
    fixture.write("policy/30-user.policy", POLICY);
    fixture.write("system.json", SYSTEM);
    fixture
}

const TESTS: &str = "\
domain work AppVM
domain personal AppVM
domain untrusted AppVM default_dispvm=disp-base
domain disp-base AppVM template_for_dispvms

work      -> personal  qubes.Filecopy  allow target=personal
untrusted -> personal  qubes.Filecopy  ask
untrusted -> @dispvm   qubes.OpenInVM  allow target=@dispvm:disp-base
";

/// A machine with a working copy, whose policy is not signed for yet.
fn machine() -> Fixture {
    let fixture = Fixture::alone();
    fixture.write("etc/bulkhead/policy.d/30-user.policy", POLICY);
    fixture.write(
        "etc/bulkhead/policy.d/30-user.test",
        TESTS.replace("ask", "deny").as_str(),
    );
    fixture.write("system.json", SYSTEM);
    fixture
}

fn verdict(fixture: &Fixture, source: &str, target: &str) -> String {
    let words = [
        "policy",
        "explain",
        source,
        target,
        "qubes.Filecopy",
        "--system",
        "system.json",
    ];
    let told = fixture.run(&words);
    told.lines().next().unwrap_or_default().to_owned()
}
