// SPDX-License-Identifier: GPL-3.0-or-later
//! What a question looks like: its frame, and when it can be answered.

use std::path::Path;

use bulkhead_types::Label;
use policy_agent_protocol::Ask;

use crate::desktop::Desktop;
use crate::pointer::{ALLOW, PAUSE, at_once};
use crate::questions::{COPY, ask};
use crate::screen::{Place, Screen};

/// Where the picture for the documentation goes, from the top of the checkout; without it none
/// is made.
const PICTURE: &str = "BULKHEAD_PROMPT_PICTURE";

/// More of its colour than anything else but the button that allows has.
const BUTTON: usize = 1500;

/// A question of `work`, which is blue, that leaves the target open.
fn open_question() -> Ask {
    let mut question = ask("qubes.Filecopy");
    let labels = [
        ("work", "blue"),
        ("personal", "green"),
        ("untrusted", "red"),
        ("vault", "black"),
        ("@dispvm:base", "orange"),
    ];
    let targets = labels.iter().skip(1).map(|(name, _)| name.parse().unwrap());
    question.targets = targets.collect();
    question.default_target = Some("personal".parse().unwrap());
    let label = |(name, label): (&str, &str)| (name.to_owned(), label.to_owned());
    question.labels = labels.map(label).into();
    question
}

#[test]
fn the_frame_has_the_colour_of_the_source_whatever_the_theme() {
    for (label, name) in [(Label::Blue, "blue"), (Label::Red, "red")] {
        let desktop = Desktop::start(120);
        let mut question = open_question();
        question.labels.insert("work".to_owned(), name.to_owned());
        let _asked = desktop.ask(&question);
        let window = desktop.wait_for_title(COPY);
        let place = drawn(&desktop, window);
        let picture = desktop.picture(place);
        let (right, bottom) = (place.x + place.width - 1, place.y + place.height - 1);
        for x in [0, 4] {
            for y in (place.y..=bottom).step_by(7) {
                assert_eq!(picture.at((place.x + x, y)), label.color().rgb());
                assert_eq!(picture.at((right - x, y)), label.color().rgb());
            }
        }
        for x in (place.x..=right).step_by(7) {
            assert_eq!(picture.at((x, place.y)), label.color().rgb());
            assert_eq!(picture.at((x, bottom)), label.color().rgb());
        }
    }
}

#[test]
fn the_button_that_allows_is_dim_until_it_counts() {
    let desktop = Desktop::start(120);
    let dim = std::cell::Cell::new(None);
    let (window, _asked) = at_once(&desktop, &open_question(), |window| {
        dim.set(Some(desktop.picture(desktop.place(window)).count(ALLOW)));
    });
    assert!(dim.take().unwrap() < BUTTON);
    std::thread::sleep(PAUSE);
    let picture = desktop.picture(desktop.place(window));
    assert!(picture.count(ALLOW) > BUTTON, "{}", picture.count(ALLOW));
}

#[test]
fn a_picture_is_made_when_one_is_wanted() {
    let desktop = Desktop::start(120);
    let _asked = desktop.ask(&open_question());
    let window = desktop.wait_for_title(COPY);
    let mut second = open_question();
    second.service = "qubes.OpenInVM".to_owned();
    let _second = desktop.ask(&second);
    let place = drawn(&desktop, window);
    desktop.point((0, 0));
    std::thread::sleep(PAUSE);
    let margin = 32;
    let picture = desktop.picture(Place {
        x: place.x - margin,
        y: place.y - margin - 12,
        width: place.width + 2 * margin,
        height: place.height + 2 * margin + 12,
    });
    // Each target has a sign in its label's colour.
    for label in [Label::Green, Label::Red, Label::Black, Label::Orange] {
        assert!(picture.count(label.color().rgb()) > 300, "{label}");
    }
    if let Some(wanted) = std::env::var_os(PICTURE) {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        picture.save(&checkout.join(wanted));
    }
}

/// Waits until a window has been drawn and stands still.
fn drawn(screen: &Screen, window: u32) -> Place {
    std::thread::sleep(PAUSE);
    screen.wait_for("the window stands still", |screen| {
        let before = screen.place(window);
        let full = screen.picture(before).count(ALLOW) > BUTTON;
        (full && screen.place(window) == before).then_some(before)
    })
}
