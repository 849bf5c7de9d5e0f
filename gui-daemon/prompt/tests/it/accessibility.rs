// SPDX-License-Identifier: GPL-3.0-or-later
//! Questions for those who hear them.

use std::time::Duration;

use crate::desktop::Desktop;
use crate::questions::{COPY, ask};
use crate::spoken::{Control, Ears, told};

/// The controls, when the question has been in view long enough to be answered. Numbers in the
/// countdown are left out.
fn controls(ears: &Ears, desktop: &Desktop, title: &str) -> Vec<Control> {
    desktop.wait_for(title, |screen| screen.find(title));
    std::thread::sleep(Duration::from_millis(1500));
    let mut controls = desktop.wait_for("the tree of controls", |_| {
        let controls = ears.controls(title)?;
        controls
            .iter()
            .any(|c| c.name == "Allow the call to the picked target")
            .then_some(controls)
    });
    for control in &mut controls {
        if control.name.starts_with("Refused in ") {
            control.name = "Refused in N s".to_owned();
        }
    }
    controls
}

#[test]
fn a_screen_reader_gets_every_control_with_its_role_and_name() {
    let ears = Ears::open();
    let desktop = Desktop::with_bus(120, &ears.address);
    let mut question = ask("qubes.Filecopy");
    question.targets = ["vault", "@dispvm:base"]
        .map(|t| t.parse().unwrap())
        .to_vec();
    question.default_target = Some("vault".parse().unwrap());
    let label = |(name, label): (&str, &str)| (name.to_owned(), label.to_owned());
    let labels = [
        ("work", "blue"),
        ("vault", "black"),
        ("@dispvm:base", "red"),
    ];
    question.labels = labels.map(label).into();
    let _asked = desktop.ask(&question);
    // Versions of GTK differ in what has the focus of a window that has no keyboard.
    desktop.give_keyboard(desktop.wait_for_title(COPY));
    let controls = controls(&ears, &desktop, COPY);
    insta::assert_snapshot!(told(&controls), @r#"
    entry "Search targets" [focused]
    list "Target"
    item "vault, label black" [selected]
    item "base, new disposable, gone after the call, label red"
    choice "This once" [checked]
    choice "For 10 minutes"
    choice "Until work stops"
    button "Refuse the call"
    button "Allow the call to the picked target"
    "#);
    for text in [
        "work wants to copy files",
        "qubes.Filecopy",
        "30-user.policy:3",
        "Refused in N s",
    ] {
        assert!(
            controls.iter().any(|control| control.name == text),
            "nothing says {text}"
        );
    }
}

#[test]
fn what_a_guest_chose_is_spoken_as_it_is_shown() {
    let ears = Ears::open();
    let desktop = Desktop::with_bus(120, &ears.address);
    let mut question = ask("test.Odd");
    question.argument = format!("+{}", "a".repeat(60_000));
    let _asked = desktop.ask(&question);
    let controls = controls(
        &ears,
        &desktop,
        "Allow this call? work wants to call an unknown",
    );
    let texts = controls.iter().filter(|control| control.role == "label");
    let long: Vec<_> = texts.filter(|text| text.name.contains("aaa")).collect();
    let [shown] = &long[..] else {
        panic!("{long:?}");
    };
    insta::assert_snapshot!(shown.name, @"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa… (59840 more)");
}
