// SPDX-License-Identifier: GPL-3.0-or-later
//! What a hand does with a mouse, and with the keyboard where there is a choice.

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bulkhead_prompt::GUARD;

use policy_agent_protocol::Ask;

use crate::desktop::{Desktop, answer, waits};
use crate::questions::{COPY, ask};
use crate::screen::{Place, RIGHT, SHIFT, SPACE, TAB};
use crate::spoken::Ears;

/// The colour of the button that allows.
pub const ALLOW: u32 = 0x1a_5f_b4;

/// The colours of what stands for a domain with that label.
const GREEN: u32 = 0x0073_d216;
const RED: u32 = 0x00cc_0000;

/// Longer than what the user does is without effect.
pub const PAUSE: Duration = Duration::from_millis(1500);

/// Puts a question and does something with its window before anything can count: less than
/// the guard after the last look that did not see it. A busy machine may need several tries.
pub fn at_once(desktop: &Desktop, question: &Ask, act: impl Fn(u32)) -> (u32, UnixStream) {
    for _ in 0..20 {
        let asked = desktop.ask(question);
        let unseen = Cell::new(Instant::now());
        let window = desktop.wait_for(COPY, |screen| {
            let now = Instant::now();
            let found = screen.find(COPY);
            if found.is_none() {
                unseen.set(now);
            }
            found
        });
        act(window);
        if unseen.get().elapsed() < GUARD {
            return (window, asked);
        }
        drop(asked);
        desktop.wait_for_absence(COPY);
    }
    panic!("this machine never does two things within {GUARD:?}");
}

#[test]
fn a_button_pressed_at_once_does_nothing_also_when_it_is_let_go_later() {
    let ears = Ears::open();
    let desktop = Desktop::with_bus(120, &ears.address);
    let (window, asked) = press_at_once(&desktop, refuse(&desktop, &ears));
    assert!(waits(&asked), "a press counted that nobody can have meant");
    // The same later counts, so the pointer was at the right place.
    assert_eq!(desktop.find(COPY), Some(window));
    desktop.button(true);
    desktop.button(false);
    assert_eq!(answer(asked), "deny");
}

/// Where in its window the button that refuses is: the same question looks the same again.
fn refuse(desktop: &Desktop, ears: &Ears) -> Place {
    let asked = desktop.ask(&ask("qubes.Filecopy"));
    desktop.wait_for_title(COPY);
    std::thread::sleep(PAUSE);
    let place = desktop.wait_for("the button that refuses", |_| {
        ears.place(COPY, "Refuse the call")
    });
    drop(asked);
    desktop.wait_for_absence(COPY);
    place
}

/// Presses the button that refuses before that can count, and lets go when it could. A window
/// that took its place only then was pressed somewhere else, and is asked for again.
fn press_at_once(desktop: &Desktop, refuse: Place) -> (u32, UnixStream) {
    for _ in 0..20 {
        let pressed = Cell::new(None);
        let (window, asked) = at_once(desktop, &ask("qubes.Filecopy"), |window| {
            let place = desktop.place(window);
            desktop.point(refuse.within(place).middle());
            desktop.button(true);
            pressed.set(Some(place));
        });
        std::thread::sleep(PAUSE);
        desktop.button(false);
        std::thread::sleep(GUARD);
        if pressed.get() == Some(desktop.place(window)) {
            return (window, asked);
        }
        drop(asked);
        desktop.wait_for_absence(COPY);
    }
    panic!("the window never stays where it was first");
}

#[test]
fn letters_narrow_the_targets_to_those_that_are_meant() {
    let desktop = Desktop::start(120);
    let mut question = ask("qubes.Filecopy");
    question.targets = ["vault", "personal", "untrusted"]
        .map(|t| t.parse().unwrap())
        .to_vec();
    let label = |(name, label): (&str, &str)| (name.to_owned(), label.to_owned());
    let labels = [
        ("work", "blue"),
        ("personal", "green"),
        ("untrusted", "red"),
    ];
    question.labels = labels.map(label).into();
    let asked = desktop.ask(&question);
    let window = desktop.wait_for_title(COPY);
    desktop.give_keyboard(window);
    std::thread::sleep(PAUSE);
    let seen = |colour| desktop.picture(desktop.place(window)).first(colour);
    assert!(seen(GREEN).is_some() && seen(RED).is_some());
    desktop.type_letters("pers");
    desktop.wait_for("untrusted is out of view", |_| {
        seen(RED).is_none().then_some(())
    });
    let (x, y) = seen(GREEN).unwrap();
    desktop.click((x + 60, y + 8));
    // Over the list and how long, to the buttons.
    let allow = |screen: &crate::screen::Screen| screen.picture(screen.place(window)).last(ALLOW);
    let (x, y) = desktop.wait_for("the button that allows", allow);
    desktop.click((x - 8, y - 8));
    assert_eq!(answer(asked), "allow:personal");
}

#[test]
fn how_long_an_answer_counts_is_chosen_with_arrows() {
    let desktop = Desktop::start(120);
    let asked = desktop.ask(&ask("qubes.Filecopy"));
    desktop.give_keyboard(desktop.wait_for_title(COPY));
    std::thread::sleep(PAUSE);
    // From the button that refuses, back to how long, and forward again.
    desktop.press_with(SHIFT, TAB);
    desktop.press(RIGHT);
    desktop.press(SPACE);
    desktop.press(TAB);
    desktop.press(SPACE);
    assert_eq!(answer(asked), "deny\nfor=10m");
}
