// SPDX-License-Identifier: GPL-3.0-or-later
//! Questions on a desktop.

use std::collections::BTreeMap;
use std::time::Duration;

use bulkhead_prompt::GUARD;
use policy_agent_protocol::{Ask, Lasting};

use crate::desktop::{Desktop, answer, waits};
use crate::screen::{ESCAPE, SPACE, TAB};

/// A question of `work`, which is blue, with one target.
pub fn ask(service: &str) -> Ask {
    Ask {
        source: "work".parse().unwrap(),
        service: service.to_owned(),
        argument: "+".to_owned(),
        targets: vec!["vault".parse().unwrap()],
        default_target: None,
        icons: BTreeMap::new(),
        labels: BTreeMap::from([("work".to_owned(), "blue".to_owned())]),
        requested_target: None,
        rule: Some("30-user.policy:3".to_owned()),
        lasting: Lasting::ALL.to_vec(),
    }
}

pub const COPY: &str = "Allow this call? work wants to copy files";
const DATE: &str = "Allow this call? work wants to read the date and time";

#[test]
fn a_question_takes_no_keyboard_from_the_window_that_has_it() {
    let desktop = Desktop::start(120);
    let asked = desktop.ask(&ask("qubes.Filecopy"));
    desktop.wait_for_title(COPY);
    std::thread::sleep(3 * GUARD);
    assert_eq!(desktop.focus(), desktop.editor);
    // What is typed there goes there.
    desktop.press(ESCAPE);
    desktop.press(SPACE);
    std::thread::sleep(GUARD);
    assert!(waits(&asked) && desktop.find(COPY).is_some());
}

#[test]
fn a_key_at_once_does_nothing_and_a_key_later_refuses() {
    let desktop = Desktop::start(120);
    let asked = desktop.ask(&ask("qubes.Filecopy"));
    let window = desktop.wait_for_title(COPY);
    desktop.give_keyboard(window);
    // Escape, and what would press the button that has the focus.
    desktop.press(ESCAPE);
    desktop.press(SPACE);
    std::thread::sleep(Duration::from_millis(200));
    assert!(waits(&asked), "a key counted that nobody can have meant");
    std::thread::sleep(GUARD);
    desktop.press(ESCAPE);
    assert_eq!(answer(asked), "deny");
    desktop.wait_for_absence(COPY);
}

#[test]
fn the_button_that_has_the_keyboard_first_refuses_and_the_next_allows() {
    let desktop = Desktop::start(120);
    let asked = desktop.ask(&ask("qubes.Filecopy"));
    desktop.give_keyboard(desktop.wait_for_title(COPY));
    std::thread::sleep(3 * GUARD);
    desktop.press(SPACE);
    assert_eq!(answer(asked), "deny");
    desktop.wait_for_absence(COPY);
    let asked = desktop.ask(&ask("qubes.Filecopy"));
    desktop.give_keyboard(desktop.wait_for_title(COPY));
    std::thread::sleep(3 * GUARD);
    desktop.press(TAB);
    desktop.press(SPACE);
    assert_eq!(answer(asked), "allow:vault");
}

#[test]
fn two_questions_are_shown_one_after_the_other() {
    let desktop = Desktop::start(120);
    let first = desktop.ask(&ask("qubes.Filecopy"));
    let window = desktop.wait_for_title(COPY);
    let second = desktop.ask(&ask("qubes.GetDate"));
    desktop.give_keyboard(window);
    std::thread::sleep(3 * GUARD);
    assert!(desktop.find(DATE).is_none());
    desktop.press(ESCAPE);
    assert_eq!(answer(first), "deny");
    desktop.wait_for_title(DATE);
    assert!(waits(&second));
    std::thread::sleep(3 * GUARD);
    desktop.press(ESCAPE);
    assert_eq!(answer(second), "deny");
}

#[test]
fn a_question_that_nobody_answers_is_refused() {
    let desktop = Desktop::start(1);
    let asked = desktop.ask(&ask("qubes.Filecopy"));
    desktop.wait_for_title(COPY);
    assert_eq!(answer(asked), "deny\nbecause=time-out");
    desktop.wait_for_absence(COPY);
}

#[test]
fn a_question_whose_asker_has_gone_goes_too() {
    let desktop = Desktop::start(120);
    let asked = desktop.ask(&ask("qubes.Filecopy"));
    desktop.wait_for_title(COPY);
    drop(asked);
    desktop.wait_for_absence(COPY);
}

#[test]
fn what_is_no_question_of_dom0_is_never_shown() {
    let desktop = Desktop::start(120);
    for bytes in [
        &b"policy.Ask work name dom0\0{}"[..],
        b"policy.Ask dom0 name dom0\0{\"source\":\"<b>\"}",
        b"\xff\xff\xff",
        b"",
    ] {
        assert_eq!(answer(desktop.send(bytes)), "");
    }
    let asked = desktop.ask(&ask("qubes.Filecopy"));
    desktop.wait_for_title(COPY);
    assert!(waits(&asked));
}
