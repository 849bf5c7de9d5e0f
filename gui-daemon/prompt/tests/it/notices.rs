// SPDX-License-Identifier: GPL-3.0-or-later
//! What became of calls, told for a moment.

use policy_agent_protocol::{Notify, Resolution};

use crate::desktop::Desktop;
use crate::installation::{Installation, refusal};
use crate::spoken::Ears;

const TITLE: &str = "Policy notices";

/// The lines of the notice in view.
fn lines(ears: &Ears, screen: &crate::screen::Screen) -> Vec<String> {
    screen.wait_for_title(TITLE);
    screen.wait_for("the notice's lines", |_| {
        let controls = ears.controls(TITLE)?;
        let labels = controls
            .into_iter()
            .filter(|control| control.role == "label");
        let lines: Vec<_> = labels.map(|label| label.name).collect();
        (!lines.is_empty()).then_some(lines)
    })
}

#[test]
fn a_flood_of_notices_is_a_few_lines_takes_no_keyboard_and_goes_by_itself() {
    let ears = Ears::open();
    let desktop = Desktop::with_bus(120, &ears.address);
    for number in 0..50 {
        desktop.tell(&Notify {
            resolution: Resolution::Deny,
            service: format!("test.Flood{number}"),
            argument: format!("+{}", "a".repeat(60_000)),
            source: "work".parse().unwrap(),
            target: "personal".to_owned(),
        });
    }
    let told = desktop.wait_for("the last is counted", |screen| {
        let lines = lines(&ears, screen);
        lines
            .iter()
            .any(|line| line == "and 47 more")
            .then_some(lines)
    });
    insta::assert_snapshot!(told.join("\n"), @r#"
    work was refused test.Flood0 to personal
    work was refused test.Flood1 to personal
    work was refused test.Flood2 to personal
    and 47 more
    "#);
    assert_eq!(desktop.focus(), desktop.editor);
    desktop.wait_for_absence(TITLE);
}

#[test]
fn a_denial_is_told_unless_the_rule_says_that_it_is_not() {
    let ears = Ears::open();
    let mut it = Installation::start();
    it.start_prompt_on(&ears.address, 120);
    for service in ["test.Quiet", "test.Loud"] {
        refusal(it.call(&format!("exec qrexec-client-vm personal {service}")));
    }
    // What was refused first would stand first.
    insta::assert_snapshot!(lines(&ears, &it).join("\n"), @"work was refused test.Loud to personal");
}
