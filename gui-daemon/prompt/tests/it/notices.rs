// SPDX-License-Identifier: GPL-3.0-or-later
//! What became of calls, told for a moment.

use policy_agent_protocol::{Notify, Resolution};

use crate::desktop::{Desktop, SIZE};
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

#[test]
fn a_policy_daemon_that_dies_is_told_of_once_and_so_is_its_return() {
    let ears = Ears::open();
    let mut it = Installation::start();
    it.start_prompt_on(&ears.address, 120);
    it.fixture.kill_process("policyd", "policyd").unwrap();
    insta::assert_snapshot!(lines(&ears, &it).join("\n"), @"Policy does not answer: every call is refused until it is back");
    it.wait_for_absence(TITLE);
    it.fixture.start_daemon("policyd").unwrap();
    insta::assert_snapshot!(lines(&ears, &it).join("\n"), @"Policy answers again");
    assert_eq!(it.focus(), it.editor);
}

#[test]
fn a_notice_stands_in_the_corner_however_many_lines_it_has() {
    let desktop = Desktop::start(120);
    let notice = |target: &str| Notify {
        resolution: Resolution::Deny,
        service: "test.Loud".to_owned(),
        argument: "+".to_owned(),
        source: "work".parse().unwrap(),
        target: target.to_owned(),
    };
    let in_corner = |height: i32| {
        desktop.wait_for("the notice is in the corner", |screen| {
            let place = screen.place(screen.find(TITLE)?);
            let far = (place.x + place.width, place.y + place.height);
            let near = far.0 > SIZE.0 - 60 && far.1 > SIZE.1 - 60;
            let whole = far.0 <= SIZE.0 && far.1 <= SIZE.1;
            (near && whole && place.height > height).then_some(place.height)
        })
    };
    desktop.tell(&notice("personal"));
    let one = in_corner(0);
    desktop.tell(&notice("a-domain-with-a-much-longer-name"));
    in_corner(one);
}
