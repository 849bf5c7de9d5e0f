// SPDX-License-Identifier: GPL-3.0-or-later
//! Random histories: whatever guest and display do in whatever order, the invariants
//! hold after each step.

use gui_protocol::{Title, WindowFlags};
use proptest::prelude::*;

use super::*;

/// Few ids, so that operations meet.
const IDS: std::ops::Range<u32> = 0..4;

const LIMITS: Limits = Limits {
    windows: 3,
    refused: 1,
    pages: 700,
};

#[derive(Clone, Debug)]
enum Op {
    Guest(u32, FromAgent),
    /// The guest answers what it was told about this window.
    Answer(u32),
    Display(Event),
    Draw,
}

fn number() -> impl Strategy<Value = i32> {
    prop_oneof![-60..2100, Just(i32::MIN), Just(i32::MAX), Just(0)]
}

fn wish() -> impl Strategy<Value = WireRect> {
    (number(), number(), number(), number()).prop_map(|(x, y, w, h)| at(x, y, w as u32, h as u32))
}

/// What a display may report: positions and sizes of real windows.
fn surface() -> impl Strategy<Value = Rect> {
    (-300..2100, -300..1300, 1..2500, 1..1500).prop_map(|(x, y, w, h)| Rect::new(x, y, w, h))
}

fn message() -> impl Strategy<Value = FromAgent> {
    prop_oneof![
        4 => (wish(), any::<bool>()).prop_map(|(rect, override_redirect)| FromAgent::Create { rect, override_redirect }),
        1 => Just(FromAgent::Destroy),
        4 => (IDS, any::<bool>()).prop_map(|(parent, on)| map(parent, on)),
        2 => Just(FromAgent::Unmap),
        4 => wish().prop_map(FromAgent::Configure),
        2 => wish().prop_map(FromAgent::ShmImage),
        1 => proptest::collection::vec(any::<u8>(), 0..130).prop_map(|text| FromAgent::WmName(Title::new(&text))),
        1 => Just(FromAgent::Dock),
        1 => (0..9u32, 0..9u32).prop_map(|(set, unset)| FromAgent::WindowFlags(WindowFlags { set, unset })),
        3 => (0..900u32, 0..700u32).prop_map(|(width, height)| dump(width, height)),
        1 => (0..0x1a0u32).prop_map(FromAgent::Cursor),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let window = || IDS.prop_map(WindowId);
    prop_oneof![
        1 => surface().prop_map(|work| Event::WorkArea { screen: SCREEN, work }),
        4 => (window(), surface()).prop_map(|(window, surface)| Event::Configured { window, surface }),
        2 => (window(), surface()).prop_map(|(window, part)| Event::Exposed { window, part }),
        1 => (window(), number(), 0..9u32, any::<bool>()).prop_map(|(window, x, code, down)| Event::Button {
            window,
            press: Press { down, at: (x.clamp(-9, 3000), 9), state: 0, code },
        }),
        1 => (window(), -9..3000i32).prop_map(|(window, x)| Event::Motion { window, at: Point { x, y: 4 }, state: 0 }),
        2 => IDS.prop_map(focus_in),
        1 => window().prop_map(|window| Event::FocusOut { window }),
        1 => IDS.prop_map(leave),
        2 => (IDS, 8..12u32, any::<bool>()).prop_map(|(window, code, down)| key(window, code, down)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (IDS, message()).prop_map(|(window, message)| Op::Guest(window, message)),
        2 => IDS.prop_map(Op::Answer),
        4 => event().prop_map(Op::Display),
        1 => Just(Op::Draw),
    ]
}

impl Desk {
    /// An honest guest's answer to the last CONFIGURE it was told.
    fn answer(&mut self, window: u32) {
        let last = self
            .told
            .iter()
            .rev()
            .find_map(|(id, message)| match message {
                FromDaemon::Configure { rect, .. } if id.0 == window => Some(*rect),
                _ => None,
            });
        let shown = self.windows.table.get(&WindowId(window));
        if let Some(rect) = last.filter(|_| shown.is_some_and(|w| w.unanswered().is_some())) {
            self.guest(window, FromAgent::Configure(rect));
        }
    }

    fn play(&mut self, op: Op) {
        match op {
            // Misconduct ends a real session; here the message is as if never sent.
            Op::Guest(window, message) => drop(self.try_guest(window, message)),
            Op::Answer(window) => self.answer(window),
            Op::Display(event) => {
                // What the display reports is so.
                if let Event::Configured { window, surface } = event
                    && let Some(shown) = self.record.surfaces.get_mut(&window)
                {
                    shown.rect = surface;
                }
                self.display(event);
            }
            Op::Draw => drop(self.draw()),
        }
        self.verify_invariants(&LIMITS);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn invariants_hold_whatever_happens(ops in proptest::collection::vec(op(), 1..60)) {
        let mut desk = Desk::with(Version::OURS, LIMITS);
        for op in ops {
            desk.play(op);
        }
    }

    #[test]
    fn a_guest_that_answers_ends_up_with_the_geometry_of_the_display(
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        let mut desk = Desk::with(Version::OURS, LIMITS);
        for op in ops {
            desk.play(op);
        }
        for id in IDS {
            // One answer for what is under way, one for what came of it.
            desk.answer(id);
            desk.answer(id);
            if let Some(window) = desk.windows.table.get(&WindowId(id)) {
                prop_assert_eq!(window.unanswered(), None);
                let surface = desk.record.surfaces[&WindowId(id)].rect;
                prop_assert_eq!(surface, window.placed.surface);
                if window.mapped && !window.is_screen() {
                    prop_assert_eq!(desk.said[&WindowId(id)], window.placed.content);
                }
            }
        }
    }

    #[test]
    fn at_most_one_configure_is_under_way(ops in proptest::collection::vec(op(), 1..60)) {
        let mut desk = Desk::with(Version::OURS, LIMITS);
        let mut waiting: std::collections::BTreeMap<u32, WireRect> = Default::default();
        for op in ops {
            let before = desk.told.len();
            let answered = match &op {
                Op::Guest(id, FromAgent::Configure(rect)) => {
                    waiting.get(id).is_some_and(|sent| sent == rect).then_some(*id)
                }
                Op::Answer(id) => Some(*id),
                Op::Guest(id, FromAgent::Destroy) => Some(*id),
                _ => None,
            };
            desk.play(op);
            if let Some(id) = answered {
                waiting.remove(&id);
            }
            for (id, message) in &desk.told[before..] {
                if let FromDaemon::Configure { rect, .. } = message {
                    let sent = waiting.insert(id.0, *rect);
                    prop_assert!(sent.is_none_or(|sent| sent == *rect), "two under way");
                }
            }
        }
    }
}
