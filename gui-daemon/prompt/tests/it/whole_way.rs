// SPDX-License-Identifier: GPL-3.0-or-later
//! From a guest's call to a person's hand and back: real daemons, the policy that is shipped,
//! which asks before files are copied.

use crate::installation::{Installation, refusal};
use crate::pointer::{ALLOW, PAUSE};
use crate::questions::COPY;
use crate::screen::ESCAPE;
use crate::spoken::{Control, Ears};

/// What stands for a domain with a green label, such as `personal`.
const GREEN: u32 = 0x0073_d216;

/// Waits for the question, and until what the user does counts.
fn look(it: &Installation) -> u32 {
    let window = it.wait_for_title(COPY);
    it.give_keyboard(window);
    std::thread::sleep(PAUSE);
    window
}

/// Points at `personal`, and presses the button that allows.
fn allow(it: &Installation, window: u32) {
    let place = it.place(window);
    let personal = it.picture(place).first(GREEN).unwrap();
    it.click((personal.0 + 60, personal.1 + 8));
    let (x, y) = it.wait_for("the button that allows", |screen| {
        screen.picture(place).last(ALLOW)
    });
    it.click((x - 8, y - 8));
}

#[test]
fn a_person_points_at_a_target_and_the_guest_gets_what_it_asked_for() {
    let mut it = Installation::start();
    it.start_prompt(120);
    let call = it.copy();
    let window = look(&it);
    it.nothing_arrived();
    allow(&it, window);
    assert_eq!(call.finish().unwrap().code, 0);
    assert_eq!(it.arrived(), "text\n");
    insta::assert_snapshot!(it.last_record(), @"allow; allowed, to personal; -");
}

#[test]
fn a_key_refuses_and_the_guest_hears_no_more_than_that() {
    let mut it = Installation::start();
    it.start_prompt(120);
    let call = it.copy();
    look(&it);
    it.press(ESCAPE);
    insta::assert_snapshot!(refusal(call), @r#"
    warning: the local back end isolates nothing: its guests are ordinary processes of this machine, for trying and testing only
    Request refused
    error: work could not copy files to personal
    hint: dom0's log says why
    "#);
    insta::assert_snapshot!(it.last_record(), @"deny; refused; the user refused");
    it.nothing_arrived();
}

#[test]
fn nobody_at_the_desk_means_no() {
    let mut it = Installation::start();
    it.start_prompt(1);
    let call = it.copy();
    it.wait_for_title(COPY);
    refusal(call);
    insta::assert_snapshot!(it.last_record(), @"deny; no answer; the user did not answer in time");
    it.wait_for_absence(COPY);
    it.nothing_arrived();
}

#[test]
fn two_calls_wait_and_each_gets_its_own_answer() {
    let mut it = Installation::start();
    it.start_prompt(120);
    let first = it.copy();
    let window = look(&it);
    // The same of another service comes after it, and is not shown before.
    let second = it.call("exec qrexec-client-vm personal test.Other");
    it.wait_for("the second waits", |_| {
        let status = it.fixture.run(&["bulkhead", "status"]).unwrap();
        let waits = status.text().contains("questions wait for the user: 2");
        waits.then_some(())
    });
    assert_eq!(it.find("Allow this call?"), Some(window));
    allow(&it, window);
    assert_eq!(first.finish().unwrap().code, 0);
    it.wait_for_title(OTHER);
    std::thread::sleep(PAUSE);
    it.press(ESCAPE);
    refusal(second);
    assert_eq!(it.arrived(), "text\n");
}

#[test]
fn an_answer_for_ten_minutes_counts_again_is_listed_and_can_be_taken_back() {
    let ears = Ears::open();
    let mut it = Installation::start();
    it.start_prompt_on(&ears.address, 120);
    let call = it.copy();
    let window = look(&it);
    // On a busy machine it may be a moment yet until what the user does counts, and until all has its place.
    it.wait_for("ten minutes are chosen", |it| {
        let choice = "For 10 minutes";
        let controls = ears.controls(COPY)?;
        let chosen =
            |control: &Control| control.name == choice && control.states.contains(&"checked");
        if controls.iter().any(chosen) {
            return Some(());
        }
        it.click(ears.place(COPY, choice)?.within(it.place(window)).middle());
        std::thread::sleep(std::time::Duration::from_millis(200));
        None
    });
    allow(&it, window);
    assert_eq!(call.finish().unwrap().code, 0);
    assert_eq!(it.arrived(), "text\n");

    it.wait_for_absence(COPY);
    assert_eq!(it.copy().finish().unwrap().code, 0);
    assert_eq!(it.arrived(), "text\n");
    insta::assert_snapshot!(it.last_record(), @"allow; allowed before, to personal; -");
    let listed = it.ok(&["bulkhead", "policy", "grants"]);
    let (what, rest) = listed.split_once("; ends in ").unwrap();
    let (left, said) = rest.split_once("; ").unwrap();
    insta::assert_snapshot!(format!("{what}; {said}"), @"answer  work -> personal qubes.Filecopy; allowed by the user");
    assert!(left.starts_with("9 min"), "{left}");

    insta::assert_snapshot!(it.ok(&["bulkhead", "policy", "revoke", "--all"]), @"0 grants have ended; calls that have to end: 0; answers that count no more: 1.");
    insta::assert_snapshot!(it.ok(&["bulkhead", "policy", "grants"]), @"There are no grants.");
    let call = it.copy();
    look(&it);
    it.press(ESCAPE);
    refusal(call);
}

#[test]
fn without_a_prompt_a_call_is_refused_for_that_and_one_that_comes_back_is_asked() {
    const MISSING: &str = "no prompt in dom0's session, so what a rule asks is refused";
    let mut it = Installation::start();
    assert!(it.ok(&["bulkhead", "status"]).contains(MISSING));
    refusal(it.copy());
    insta::assert_snapshot!(it.last_record(), @"deny; -; the rule asks the user, and nobody can be asked: no prompt runs in dom0's session");
    it.start_prompt(120);
    let call = it.copy();
    it.wait_for_title(COPY);
    it.kill_prompt();
    refusal(call);
    insta::assert_snapshot!(it.last_record(), @"deny; -; the rule asks the user, and the prompt failed: the agent gave no answer");
    refusal(it.copy());
    it.nothing_arrived();

    it.start_prompt(120);
    assert!(!it.ok(&["bulkhead", "status"]).contains(MISSING));
    let call = it.copy();
    let window = look(&it);
    allow(&it, window);
    assert_eq!(call.finish().unwrap().code, 0);
    assert_eq!(it.arrived(), "text\n");
}

const OTHER: &str = "Allow this call? work wants to call an unknown service";
