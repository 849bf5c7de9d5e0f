// SPDX-License-Identifier: GPL-3.0-or-later
//! Stories, and random histories in which the invariants hold after every step.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::question::tests::ask;
use crate::services::Services;

fn question() -> Question {
    Question::new(&ask(), &Services::shipped())
}

fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A prompt with one question since 0.
fn asked() -> Prompt {
    let mut prompt = Prompt::default();
    let effects = prompt.asked(QuestionId(1), question(), PATIENCE, at(0));
    assert_eq!(effects, [Effect::Show]);
    prompt.painted(at(0));
    prompt
}

fn choice(text: &str) -> Choice {
    text.parse().unwrap()
}

#[test]
fn the_default_is_picked_and_a_search_that_hides_it_unpicks_it() {
    let mut prompt = asked();
    assert_eq!(prompt.selected(), Some(&choice("personal")));
    let _ = prompt.input(Input::Search("vau".to_owned()), at(600));
    assert_eq!(prompt.selected(), None);
    assert_eq!(prompt.input(Input::Allow, at(700)), [Effect::Refresh]);
    let _ = prompt.input(Input::Select(choice("personal")), at(700));
    assert_eq!(prompt.selected(), None, "it is not in view");
    let _ = prompt.input(Input::Select(choice("vault")), at(700));
    let _ = prompt.input(Input::Keep(Lasting::TenMinutes), at(700));
    let answer = Answer::Allow(choice("vault"), Lasting::TenMinutes);
    assert_eq!(
        prompt.input(Input::Allow, at(800)),
        [Effect::Answer(QuestionId(1), answer), Effect::Hide]
    );
}

#[test]
fn a_key_typed_for_something_else_answers_neither_this_question_nor_the_next() {
    let mut prompt = asked();
    let _ = prompt.asked(QuestionId(2), question(), PATIENCE, at(10));
    for early in [
        Input::Refuse,
        Input::Allow,
        Input::Keep(Lasting::WhileRunning),
    ] {
        assert_eq!(prompt.input(early, at(499)), []);
    }
    assert_eq!(prompt.keep(), Lasting::Once);
    let refused = Effect::Answer(QuestionId(1), Answer::Deny(Lasting::Once));
    assert_eq!(
        prompt.input(Input::Refuse, at(500)),
        [refused, Effect::Show]
    );
    assert_eq!(prompt.input(Input::Refuse, at(999)), []);
    prompt.painted(at(1000));
    assert_eq!(prompt.input(Input::Refuse, at(1499)), []);
    assert!(!prompt.input(Input::Refuse, at(1500)).is_empty());
}

#[test]
fn keys_that_come_with_the_focus_were_meant_for_another_window() {
    let mut prompt = asked();
    prompt.focused(at(5000));
    assert!(prompt.is_open(at(5100)), "a click is meant");
    assert!(!prompt.takes_keys(at(5499)));
    assert!(prompt.takes_keys(at(5500)));
}

#[test]
fn a_question_nobody_answers_is_refused_and_so_is_one_that_waits_behind_it() {
    let mut prompt = asked();
    let _ = prompt.asked(QuestionId(2), question(), PATIENCE, at(1000));
    let end = PATIENCE.as_millis() as u64;
    assert_eq!(prompt.tick(at(end - 1)), []);
    let unanswered = Answer::Unanswered(Unanswered::TimeOut);
    let over = |id| Effect::Answer(QuestionId(id), unanswered.clone());
    assert_eq!(prompt.tick(at(end)), [over(1), Effect::Show]);
    prompt.painted(at(end));
    // Too late: agreeing does not count.
    assert_eq!(
        prompt.input(Input::Allow, at(end + 1000)),
        [over(2), Effect::Hide]
    );
}

#[test]
fn a_question_that_is_withdrawn_makes_way_for_the_next_with_a_guard_of_its_own() {
    let mut prompt = asked();
    let _ = prompt.asked(QuestionId(2), question(), PATIENCE, at(0));
    assert_eq!(prompt.withdrawn(QuestionId(1)), [Effect::Show]);
    prompt.painted(at(9000));
    assert_eq!(prompt.input(Input::Allow, at(9100)), []);
    assert_eq!(prompt.withdrawn(QuestionId(2)), [Effect::Hide]);
    assert_eq!(prompt.withdrawn(QuestionId(2)), []);
}

#[test]
fn what_a_slow_screen_has_not_shown_yet_nobody_can_mean() {
    let mut prompt = Prompt::default();
    let _ = prompt.asked(QuestionId(1), question(), PATIENCE, at(0));
    assert_eq!(prompt.input(Input::Allow, at(60_000)), []);
    prompt.painted(at(60_000));
    assert_eq!(prompt.input(Input::Allow, at(60_499)), []);
    // It is drawn again and again.
    prompt.painted(at(60_400));
    assert!(!prompt.input(Input::Allow, at(60_500)).is_empty());
}

#[derive(Clone, Debug)]
enum Op {
    Ask { targets: usize, default: bool },
    Withdraw(u64),
    Pass(u64),
    Paint,
    Input(Input),
}

fn any_op() -> impl Strategy<Value = Op> {
    let targets = ["vault", "personal", "@dispvm:base", "elsewhere"];
    let searches = ["", "p", "vault", "zzz"];
    let input = prop_oneof![
        proptest::sample::select(searches.to_vec()).prop_map(|text| Input::Search(text.to_owned())),
        proptest::sample::select(targets.to_vec()).prop_map(|text| Input::Select(choice(text))),
        proptest::sample::select(Lasting::ALL.to_vec()).prop_map(Input::Keep),
        Just(Input::Allow),
        Just(Input::Refuse),
    ];
    prop_oneof![
        2 => (0..6usize, any::<bool>()).prop_map(|(targets, default)| Op::Ask { targets, default }),
        1 => (1..20u64).prop_map(Op::Withdraw),
        4 => prop_oneof![1..400u64, 500..2000u64, Just(60_000)].prop_map(Op::Pass),
        4 => Just(Op::Paint),
        6 => input.prop_map(Op::Input),
    ]
}

/// What a naive observer knows: who was asked when, and since when which question is in view.
#[derive(Default)]
struct Observer {
    asked: HashMap<QuestionId, (Question, Duration)>,
    answered: HashSet<QuestionId>,
    in_view_since: Option<Duration>,
}

impl Observer {
    fn sees(&mut self, effects: &[Effect], by_user: bool, now: Duration) {
        for effect in effects {
            match effect {
                Effect::Answer(id, answer) => {
                    assert!(self.answered.insert(*id), "{id:?} is answered twice");
                    let (question, since) = &self.asked[id];
                    if let Answer::Allow(choice, lasting) = answer {
                        assert!(by_user, "nobody agreed");
                        let since_shown = self.in_view_since.expect("nobody has seen it");
                        assert!(now >= since_shown + GUARD, "too early");
                        assert!(now < *since + PATIENCE, "too late");
                        assert!(question.targets.iter().any(|t| t.choice == *choice));
                        assert!(question.lasting.contains(lasting));
                    }
                }
                Effect::Show | Effect::Hide => self.in_view_since = None,
                Effect::Refresh => {}
            }
        }
    }

    fn verify_invariants(&self, prompt: &Prompt, now: Duration) {
        let ids: Vec<_> = prompt.waiting.iter().map(|waiting| waiting.id).collect();
        assert!(ids.is_sorted() && ids.len() <= WAITING_MAX);
        assert!(ids.iter().all(|id| !self.answered.contains(id)));
        if let Some(choice) = prompt.selected() {
            assert!(prompt.targets().any(|target| target.choice == *choice));
        }
        assert_eq!(prompt.view.painted, self.in_view_since);
        assert!(!prompt.is_open(now) || !ids.is_empty());
    }
}

proptest! {
    #[test]
    fn nothing_is_allowed_that_the_user_did_not_see_and_mean(
        ops in proptest::collection::vec(any_op(), 1..120)
    ) {
        let (mut prompt, mut observer) = (Prompt::default(), Observer::default());
        let (mut now, mut next) = (Duration::from_secs(1), 1);
        for op in ops {
            let by_user = matches!(op, Op::Input(_));
            let effects = match op {
                Op::Ask { targets, default } => {
                    let mut ask = ask();
                    ask.targets.truncate(targets);
                    ask.default_target = ask.targets.first().filter(|_| default).cloned();
                    let question = Question::new(&ask, &Services::shipped());
                    let id = QuestionId(next);
                    next += 1;
                    observer.asked.insert(id, (question.clone(), now));
                    prompt.asked(id, question, PATIENCE, now)
                }
                Op::Withdraw(id) => prompt.withdrawn(QuestionId(id)),
                Op::Pass(millis) => {
                    now += at(millis);
                    prompt.tick(now)
                }
                Op::Paint => {
                    prompt.painted(now);
                    if prompt.question().is_some() {
                        observer.in_view_since.get_or_insert(now);
                    }
                    Vec::new()
                }
                Op::Input(input) => {
                    let picked = prompt.selected().cloned();
                    let agreed = input == Input::Allow;
                    let effects = prompt.input(input, now);
                    let allowed = effects.iter().find_map(|effect| match effect {
                        Effect::Answer(_, Answer::Allow(choice, _)) => Some(choice.clone()),
                        _ => None,
                    });
                    if let Some(allowed) = allowed {
                        prop_assert!(agreed);
                        prop_assert_eq!(Some(allowed), picked);
                    }
                    effects
                }
            };
            observer.sees(&effects, by_user, now);
            observer.verify_invariants(&prompt, now);
        }
        let _ = prompt.tick(now + PATIENCE);
        prop_assert_eq!(prompt.question(), None, "each question ends");
    }
}
