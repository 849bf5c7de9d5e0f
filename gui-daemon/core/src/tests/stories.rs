// SPDX-License-Identifier: GPL-3.0-or-later
//! What guests did to daemons before, and what must come of it here.

use gui_protocol::{ClassPart, Press, Title, WindowFlags, WindowHints};

use super::*;
use crate::{Command, Point};

#[test]
fn an_ordinary_window_grows_by_its_frame_and_its_guest_sees_only_the_content() {
    let mut desk = Desk::new();
    desk.shown(1, at(100, 200, 300, 150), false);
    assert_eq!(desk.surface(1).rect, Rect::new(96, 196, 308, 158));
    assert_eq!(desk.surface(1).title, "[work] ");
    // The window manager puts it elsewhere, larger.
    let window = WindowId(1);
    let surface = Rect::new(500, 300, 408, 208);
    desk.display(Event::Configured { window, surface });
    assert_eq!(desk.told(), [(1, configure(at(504, 304, 400, 200)))]);
}

#[test]
fn only_one_configure_is_unanswered_and_the_last_geometry_arrives() {
    let mut desk = Desk::new();
    desk.shown(1, at(40, 40, 100, 100), false);
    let window = WindowId(1);
    for x in [10, 20, 30] {
        let surface = Rect::new(x, 50, 108, 108);
        desk.display(Event::Configured { window, surface });
    }
    let first = at(14, 54, 100, 100);
    assert_eq!(desk.told(), [(1, configure(first))]);
    // Something the guest wanted before it saw ours is ignored, and ours said again.
    desk.guest(1, FromAgent::Configure(at(700, 700, 9, 9)));
    assert_eq!(desk.told(), [(1, configure(first))]);
    desk.guest(1, FromAgent::Configure(first));
    let last = at(34, 54, 100, 100);
    assert_eq!(desk.told(), [(1, configure(last))]);
    desk.guest(1, FromAgent::Configure(last));
    assert_eq!(desk.told(), []);
    // Now it may wish again.
    desk.guest(1, FromAgent::Configure(at(700, 700, 9, 9)));
    assert_eq!(desk.surface(1).rect, Rect::new(696, 696, 17, 17));
    assert_eq!(desk.told(), [], "what was wished for needs no answer");
}

#[test]
fn impossible_sizes_are_clamped_and_the_session_lives() {
    let mut desk = Desk::new();
    desk.shown(1, at(50, 50, 0, 0), false);
    assert_eq!(desk.surface(1).rect, Rect::new(46, 46, 9, 9));
    desk.shown(2, at(50, 50, -5_i32 as u32, 60000), false);
    assert_eq!(desk.surface(2).rect, Rect::new(46, 20, 9, 1060));
    desk.guest(1, FromAgent::Configure(at(55, 55, 0, 7)));
    assert_eq!(desk.surface(1).rect, Rect::new(51, 51, 9, 15));
}

#[test]
fn a_guest_cannot_hide_the_frame_of_an_ordinary_window_off_the_screen() {
    let mut desk = Desk::new();
    // As large as the screen and the frame around it, so that no side would be seen.
    desk.shown(1, at(0, 0, 1920, 1080), false);
    assert_eq!(desk.surface(1).rect, WORK);
    let got = at(4, 24, 1912, 1052);
    assert_eq!(desk.told(), [(1, configure(got))]);
    desk.guest(1, FromAgent::Configure(got));
    // Nor later, nor from a place that a hidden menu may have.
    desk.guest(1, FromAgent::Configure(at(-400, 3000, 500, 300)));
    assert_eq!(desk.surface(1).rect, Rect::new(0, 772, 508, 308));
    assert_eq!(desk.told(), [(1, configure(at(4, 776, 500, 300)))]);
    desk.create(2, at(-500, -500, 10, 10), true);
    desk.map(2, false);
    assert_eq!(desk.surface(2).rect, Rect::new(0, 20, 18, 18));
    assert_eq!(desk.told(), [(2, configure(at(4, 24, 10, 10)))]);
    desk.verify_invariants(&Limits::default());
}

#[test]
fn a_window_that_the_user_pushes_half_off_the_screen_stays_there() {
    let mut desk = Desk::new();
    desk.shown(1, at(100, 100, 300, 200), false);
    let window = WindowId(1);
    let surface = Rect::new(-150, 900, 308, 208);
    desk.display(Event::Configured { window, surface });
    let content = at(-146, 904, 300, 200);
    assert_eq!(desk.told(), [(1, configure(content))]);
    // The guest's answer does not bring it back, nor does saying it twice.
    for _ in 0..2 {
        desk.guest(1, FromAgent::Configure(content));
    }
    assert_eq!(desk.windows.table[&window].placed.surface, surface);
    // A wish of the guest does: it must not choose a place that the user did not.
    desk.guest(1, FromAgent::Configure(at(-147, 904, 300, 200)));
    assert_eq!(desk.surface(1).rect, Rect::new(0, 872, 308, 208));
}

#[test]
fn a_window_made_in_the_corner_may_grow_before_it_is_shown() {
    let mut desk = Desk::new();
    desk.create(1, at(0, 0, 1, 1), false);
    assert_eq!(desk.surface(1).rect, Rect::new(0, 20, 9, 9));
    desk.guest(1, FromAgent::Configure(at(0, 0, 500, 400)));
    assert_eq!(desk.told(), [], "an answer would undo what follows");
    desk.map(1, false);
    assert_eq!(desk.surface(1).rect, Rect::new(0, 20, 508, 408));
    let got = at(4, 24, 500, 400);
    assert_eq!(desk.told(), [(1, configure(got))]);
    desk.guest(1, FromAgent::Configure(got));
    assert_eq!(desk.told(), []);
}

#[test]
fn messages_about_what_is_not_there_end_the_session() {
    let mut desk = Desk::new();
    let unknown = desk.try_guest(9, FromAgent::Unmap);
    assert_eq!(unknown, Err(Misconduct::NoSuchWindow(WindowId(9))));
    desk.create(1, at(40, 40, 9, 9), false);
    let twice = desk.try_guest(
        1,
        FromAgent::Create {
            rect: at(0, 0, 9, 9),
            override_redirect: false,
        },
    );
    assert_eq!(twice, Err(Misconduct::WindowExists(WindowId(1))));
}

#[test]
fn a_destroyed_window_is_acknowledged_and_its_id_may_come_again() {
    let mut desk = Desk::new();
    desk.shown(1, at(40, 40, 9, 9), false);
    desk.guest(1, FromAgent::Destroy);
    assert_eq!(desk.told(), [(1, FromDaemon::Destroy)]);
    desk.create(1, at(40, 40, 9, 9), false);
    let old = Version { major: 1, minor: 4 };
    let mut desk = Desk::with(old, Limits::default());
    desk.shown(1, at(40, 40, 9, 9), false);
    desk.guest(1, dump(9, 9));
    desk.guest(1, FromAgent::Destroy);
    assert_eq!(desk.told(), [], "version 1.4 knows no acknowledgements");
}

#[test]
fn a_new_image_takes_the_place_of_the_old_one_and_is_drawn_whole() {
    let mut desk = Desk::new();
    desk.shown(1, at(40, 40, 64, 64), false);
    desk.guest(1, dump(64, 64));
    desk.guest(1, FromAgent::ShmImage(at(3, 3, 5, 5)));
    assert_eq!(desk.told(), [(1, FromDaemon::WindowDumpAck)]);
    let window = WindowId(1);
    let whole = Rect::new(0, 0, 64, 64);
    let drawn = [
        Command::Fetch {
            image: window,
            part: whole,
        },
        Command::Put {
            window,
            image: window,
            part: whole,
            at: Point { x: 4, y: 4 },
        },
    ];
    assert_eq!(desk.draw(), drawn.map(Effect::Display));
    assert_eq!(desk.draw(), [], "drawn once");
    desk.guest(1, dump(32, 32));
    assert_eq!(desk.windows.pages(), 1);
    desk.guest(1, FromAgent::Unmap);
    assert_eq!((desk.windows.pages(), desk.record.pages.len()), (0, 0));
}

#[test]
fn damage_outside_the_image_or_negative_is_dropped() {
    let mut desk = Desk::new();
    desk.shown(1, at(0, 0, 64, 64), false);
    desk.guest(1, dump(64, 64));
    desk.draw();
    for (x, y, w, h) in [
        (-1, 0, 9, 9),
        (0, 0, u32::MAX, 9),
        (65, 0, 1, 1),
        (i32::MAX, i32::MAX, 1, 1),
    ] {
        desk.guest(1, FromAgent::ShmImage(at(x, y, w, h)));
    }
    assert_eq!(desk.draw(), []);
    desk.guest(1, FromAgent::ShmImage(at(60, 60, i32::MAX as u32, 1)));
    let Some(Effect::Display(Command::Fetch { part, .. })) = desk.draw().first().cloned() else {
        panic!("what lies inside is drawn");
    };
    assert_eq!(part, Rect::new(60, 60, 4, 1));
}

#[test]
fn a_menu_has_its_frame_on_the_screen_before_any_image_and_whoever_moves_it() {
    let mut desk = Desk::new();
    desk.shown(1, at(-50, 1050, 200, 100), true);
    assert_eq!(desk.surface(1).rect, Rect::new(0, 980, 200, 100));
    assert!(desk.surface(1).override_redirect && desk.surface(1).mapped);
    desk.display(Event::Configured {
        window: WindowId(1),
        surface: Rect::new(1900, -90, 200, 100),
    });
    assert_eq!(desk.surface(1).rect, Rect::new(1720, 20, 200, 100));
    desk.verify_invariants(&Limits::default());
}

#[test]
fn a_menu_as_large_as_the_work_area_becomes_an_ordinary_window() {
    let mut desk = Desk::new();
    desk.shown(1, at(0, 20, 1900, 1060), true);
    assert!(!desk.surface(1).override_redirect);
    // Growing when it is shown already is no way around, nor is a second MAP.
    desk.shown(2, at(9, 30, 10, 10), true);
    desk.guest(2, FromAgent::Configure(at(0, 20, 1900, 1060)));
    assert!(!desk.surface(2).override_redirect && desk.surface(2).mapped);
    desk.map(2, true);
    assert!(
        !desk.surface(2).override_redirect,
        "mapped windows gain nothing"
    );
    desk.verify_invariants(&Limits::default());
}

#[test]
fn an_icon_without_a_tray_is_not_shown() {
    let mut desk = Desk::new();
    desk.create(1, at(0, 0, 16, 16), true);
    desk.guest(1, FromAgent::Dock);
    desk.map(1, true);
    assert!(!desk.surface(1).mapped);
    desk.shown(2, at(0, 0, 16, 16), false);
    desk.guest(2, FromAgent::Dock);
    assert!(desk.surface(2).mapped);
    desk.verify_invariants(&Limits::default());
}

#[test]
fn windows_and_pages_beyond_the_limit_are_answered_but_not_shown() {
    let limits = Limits {
        windows: 3,
        refused: 2,
        pages: 10,
    };
    let mut desk = Desk::with(Version::OURS, limits);
    for window in 1..=5 {
        desk.shown(window, at(40, 40, 32, 32), false);
        desk.guest(window, dump(64, 64));
    }
    assert_eq!(desk.record.surfaces.len(), 3);
    assert_eq!(desk.windows.pages(), 8);
    assert_eq!(desk.told().len(), 5, "every dump is acknowledged");
    desk.guest(5, FromAgent::Destroy);
    assert_eq!(desk.told(), [(5, FromDaemon::Destroy)]);
    desk.create(6, at(0, 0, 1, 1), false);
    let create = FromAgent::Create {
        rect: at(0, 0, 1, 1),
        override_redirect: false,
    };
    assert_eq!(
        desk.try_guest(7, create),
        Err(Misconduct::TooManyWindows(5))
    );
    desk.verify_invariants(&limits);
}

#[test]
fn a_title_and_a_class_always_carry_the_domains_name() {
    let mut desk = Desk::new();
    desk.create(1, at(40, 40, 9, 9), false);
    let mut effects = Vec::new();
    for message in [
        FromAgent::WmName(Title::new(b"a\x1b[0m\nb")),
        FromAgent::WmClass {
            class: ClassPart::new(b"XTerm"),
            instance: ClassPart::new(b"xterm\t"),
        },
    ] {
        let result = desk.windows.guest(WindowId(1), message, &mut effects);
        result.unwrap();
    }
    insta::assert_debug_snapshot!(effects, @r#"
    [
        Display(
            Title {
                window: WindowId(
                    1,
                ),
                title: "[work] a_[0m_b",
            },
        ),
        Display(
            Class {
                window: WindowId(
                    1,
                ),
                instance: "work:xterm_",
                class: "work:XTerm",
            },
        ),
    ]
    "#);
}

#[test]
fn a_guest_that_wants_the_screen_gets_the_work_area_and_believes_it_is_the_screen() {
    let mut desk = Desk::new();
    desk.shown(1, at(40, 40, 9, 9), false);
    let mut effects = Vec::new();
    let full = FromAgent::WindowFlags(WindowFlags {
        set: WindowFlags::FULLSCREEN | 0xff00,
        unset: WindowFlags::MINIMISE,
    });
    desk.windows.guest(WindowId(1), full, &mut effects).unwrap();
    let [Effect::Display(Command::State { change, .. })] = effects[..] else {
        panic!("{effects:?}");
    };
    assert_eq!((change.maximised, change.fullscreen), (Some(true), None));
    assert!(!change.minimise);
    let state = |maximised| Event::State {
        window: WindowId(1),
        maximised,
        fullscreen: false,
        minimised: false,
    };
    desk.display(state(true));
    desk.display(state(true));
    desk.display(state(false));
    let flags = |set, unset| FromDaemon::WindowFlags(WindowFlags { set, unset });
    assert_eq!(desk.told(), [(1, flags(1, 0)), (1, flags(0, 1))]);
}

#[test]
fn contradictions_are_dropped_and_counted_never_asked_about() {
    let mut desk = Desk::new();
    desk.shown(1, at(40, 40, 9, 9), false);
    desk.guest(1, FromAgent::WindowFlags(WindowFlags { set: 3, unset: 3 }));
    desk.guest(1, FromAgent::Cursor(0x19a));
    desk.guest(1, FromAgent::Cursor(u32::MAX));
    desk.guest(1, FromAgent::ClipboardData(b"nobody asked".to_vec()));
    desk.guest(
        1,
        FromAgent::WindowHints(WindowHints {
            flags: WindowHints::INCREMENT,
            ..WindowHints::default()
        }),
    );
    assert_eq!((desk.windows.dropped(), desk.told()), (5, vec![]));
}

#[test]
fn input_is_translated_and_the_frame_belongs_to_dom0() {
    let mut desk = Desk::new();
    desk.shown(1, at(40, 40, 100, 100), false);
    let window = WindowId(1);
    let click = |down, x, y| Event::Button {
        window,
        press: Press {
            down,
            at: (x, y),
            state: 0,
            code: 1,
        },
    };
    desk.display(click(true, 2, 50));
    desk.display(click(false, 2, 50));
    assert_eq!(desk.told(), [], "a click on the frame");
    desk.display(click(true, 4, 4));
    let at = Point { x: -30, y: 7 };
    desk.display(Event::Motion {
        window,
        at,
        state: 256,
    });
    desk.display(click(false, -30, 7));
    desk.display(Event::Motion {
        window,
        at,
        state: 0,
    });
    let told: Vec<String> = desk.told().iter().map(|(_, m)| format!("{m:?}")).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    Button(Press { down: true, at: (0, 0), state: 0, code: 1 })
    Motion { at: (-34, 3), state: 256 }
    Button(Press { down: false, at: (-34, 3), state: 0, code: 1 })
    Motion { at: (0, 3), state: 0 }
    ");
}

#[test]
fn a_key_held_while_the_focus_leaves_is_released_in_the_guest() {
    let mut desk = Desk::new();
    desk.shown(1, at(40, 40, 100, 100), false);
    let mut keys = [0; 32];
    keys[4] = 16;
    let window = WindowId(1);
    desk.display(Event::FocusIn { window, keys });
    desk.display(Event::FocusOut { window });
    let expected = [
        (0, FromDaemon::KeymapNotify(keys)),
        (1, FromDaemon::Focus { gained: true }),
        (0, FromDaemon::KeymapNotify([0; 32])),
        (1, FromDaemon::Focus { gained: false }),
    ];
    assert_eq!(desk.told(), expected);
}

#[test]
fn keys_and_buttons_held_while_their_window_goes_are_released_in_the_guest() {
    for last in [FromAgent::Unmap, FromAgent::Destroy] {
        let mut desk = Desk::new();
        desk.shown(1, at(40, 40, 100, 100), false);
        desk.display(focus_in(1));
        desk.display(key(1, 38, true));
        desk.display(button(1, 3, true));
        assert_eq!(desk.held.len(), 2);
        desk.guest(1, last);
        assert!(desk.held.is_empty(), "{:?}", desk.held);
        // The display is late with its own word on it.
        desk.told();
        desk.display(Event::FocusOut {
            window: WindowId(1),
        });
        assert_eq!(desk.told(), []);
    }
}

#[test]
fn without_a_focus_keys_are_released_when_the_pointer_leaves() {
    let mut desk = Desk::new();
    desk.shown(1, at(40, 40, 100, 100), false);
    desk.display(key(1, 38, true));
    desk.display(leave(1));
    assert!(desk.held.is_empty());
    // With one the pointer may go where it likes.
    desk.display(focus_in(1));
    desk.display(key(1, 38, true));
    desk.display(leave(1));
    assert_eq!(desk.held.len(), 1);
}

#[test]
fn a_key_released_while_a_window_manager_had_the_keys_is_released_in_the_guest() {
    let mut desk = Desk::new();
    desk.shown(1, at(40, 40, 100, 100), false);
    desk.display(focus_in(1));
    desk.display(key(1, 64, true));
    let (window, keys) = (WindowId(1), [0; 32]);
    desk.display(Event::Keys { window, keys });
    assert!(desk.held.is_empty());
}

#[test]
fn a_window_without_an_image_shows_its_part_of_the_whole_screen() {
    let mut desk = Desk::new();
    desk.shown(0, at(0, 0, 800, 600), false);
    desk.guest(0, dump(800, 600));
    desk.shown(1, at(100, 100, 50, 50), false);
    let drawn = desk.draw();
    let put = Command::Put {
        window: WindowId(1),
        image: WindowId::SCREEN,
        part: Rect::new(100, 100, 50, 50),
        at: Point { x: 4, y: 4 },
    };
    assert!(drawn.contains(&Effect::Display(put)), "{drawn:?}");
    desk.guest(0, FromAgent::Unmap);
    assert!(
        desk.windows.pages() > 0,
        "the whole screen's image outlives its window"
    );
    desk.display(Event::Configured {
        window: WindowId::SCREEN,
        surface: Rect::new(50, 50, 60, 60),
    });
    assert_eq!(desk.told().len(), 1, "only the dump was answered");
}

#[test]
fn a_window_is_transient_only_for_one_that_exists() {
    let mut desk = Desk::new();
    for window in 1..=2 {
        desk.create(window, at(40, 40, 9, 9), false);
    }
    for (wish, parent) in [(2, Some(WindowId(2))), (1, None), (77, None), (0, None)] {
        let mut effects = Vec::new();
        let result = desk
            .windows
            .guest(WindowId(1), map(wish, false), &mut effects);
        result.unwrap();
        let window = WindowId(1);
        let hint = Effect::Display(Command::Transient { window, parent });
        assert!(effects.contains(&hint), "{wish}");
        desk.carry_out(effects);
        desk.guest(1, FromAgent::Unmap);
    }
}

#[test]
fn when_the_guest_leaves_nothing_of_it_stays() {
    let mut desk = Desk::new();
    for window in 1..=4 {
        desk.shown(window, at(0, 0, 64, 64), window % 2 == 0);
        desk.guest(window, dump(64, 64));
    }
    let mut effects = Vec::new();
    desk.windows.end(&mut effects);
    desk.carry_out(effects);
    assert_eq!(
        (desk.record.surfaces.len(), desk.record.pages.len()),
        (0, 0)
    );
    assert!(desk.windows.is_empty() && desk.windows.pages() == 0);
}
