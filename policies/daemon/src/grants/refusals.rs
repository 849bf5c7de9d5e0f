// SPDX-License-Identifier: GPL-3.0-or-later
//! Grants that could never be used are refused, with the word that was probably meant.

use super::*;

const SYSTEM: &str = r#"{"domains": {
    "dom0": {"type": "AdminVM", "power_state": "Running"},
    "work": {"type": "AppVM", "power_state": "Running"},
    "disp-base": {"type": "AppVM", "power_state": "Halted", "template_for_dispvms": true},
    "vault": {"type": "AppVM", "power_state": "Halted"}}}"#;

fn grant(source: &str, target: &str) -> Result<u64, String> {
    let mut grants = Grants::default();
    let system = serde_json::from_str(SYSTEM).unwrap();
    grants.set_system(Some(Arc::new(system)), Runs::default());
    let request = GrantRequest {
        source: source.into(),
        target: target.into(),
        service: "qubes.Gpg".into(),
        seconds: Some(60),
        uses: None,
        while_running: false,
    };
    let granted = grants.add(request, "root", String::new(), Duration::ZERO);
    granted
        .map(|state| state.id)
        .map_err(|error| error.to_string())
}

#[test]
fn what_is_there_can_be_granted() {
    for target in ["vault", "dom0", "@adminvm", "@dispvm", "@dispvm:disp-base"] {
        assert_eq!(grant("work", target), Ok(1), "{target}");
    }
}

#[test]
fn what_could_never_be_used_is_refused() {
    for (source, target, why) in [
        (
            "wrok",
            "vault",
            "there is no domain `wrok`; did you mean `work`?",
        ),
        (
            "work",
            "vualt",
            "there is no domain `vualt`; did you mean `vault`?",
        ),
        ("work", "elsewhere", "there is no domain `elsewhere`"),
        (
            "work",
            "@dispvm:dsip-base",
            "there is no domain `dsip-base`; did you mean `disp-base`?",
        ),
        (
            "work",
            "@dispvm:vault",
            "`vault` is not a template for disposables",
        ),
        (
            "work",
            "work",
            "no domain calls itself, so there is nothing to grant",
        ),
        ("dom0", "vault", "dom0 asks nobody, so it needs no grant"),
        (
            "work",
            "@anyvm",
            "`@anyvm` is no target to grant; name a domain, dom0, @dispvm or @dispvm:NAME",
        ),
    ] {
        assert_eq!(grant(source, target), Err(why.to_owned()));
    }
}
