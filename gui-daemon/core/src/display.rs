// SPDX-License-Identifier: GPL-3.0-or-later
//! How events of the display change the table and reach the guest.

use gui_protocol::{FromDaemon, Press, WindowFlags, WindowId};

use crate::keyboard;
use crate::placement::Desktop;
use crate::{Command, Effect, Event, Point, Rect, Windows};

/// Buttons that a guest gets: three, and four directions of scrolling.
const BUTTONS: std::ops::RangeInclusive<u32> = 1..=7;
/// A work area below this is a mistake of the window manager.
const LEAST_WORK: i32 = 64;

impl Windows {
    /// Takes an event of the display. Events about windows that are gone are ignored: the
    /// display may be late.
    pub fn display(&mut self, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::WorkArea { screen, work } => self.desktop_changed(screen, work, effects),
            Event::Configured { window, surface } => self.configured(window, surface, effects),
            Event::Exposed { window, part } => self.expose(window, part, effects),
            Event::Key { window, press } => self.key(window, press, effects),
            Event::Button { window, press } => self.button(window, press, effects),
            Event::Motion { window, at, state } => self.motion(window, at, state, effects),
            Event::Crossing {
                window,
                enter,
                at,
                state,
                keys,
            } => {
                let Some(shown) = self.table.get(&window).filter(|w| w.mapped) else {
                    return;
                };
                if enter {
                    effects.push(keyboard::down(keys));
                } else {
                    self.keyboard.pointer_left(window, effects);
                }
                let at = shown.to_guest((at.x, at.y));
                let message = FromDaemon::Crossing { enter, at, state };
                effects.push(Effect::Guest(window, message));
            }
            Event::FocusIn { window, keys } => self.focus_in(window, keys, effects),
            Event::FocusOut { window } => self.focus_out(window, effects),
            Event::Keys { window, keys } => {
                if self.keyboard.has(window) {
                    effects.push(keyboard::down(keys));
                }
            }
            Event::CloseRequested { window } => {
                if self.table.contains_key(&window) {
                    effects.push(Effect::Guest(window, FromDaemon::Close));
                }
            }
            Event::State {
                window,
                maximised,
                fullscreen,
                minimised,
            } => {
                if let Some(shown) = self.table.get_mut(&window) {
                    let full = fullscreen || (maximised && shown.wants_fullscreen);
                    let now = if full { WindowFlags::FULLSCREEN } else { 0 }
                        | if minimised { WindowFlags::MINIMISE } else { 0 };
                    shown.tell_flags(now, effects);
                }
            }
        }
    }

    fn desktop_changed(&mut self, screen: Rect, work: Rect, effects: &mut Vec<Effect>) {
        let work = screen.intersect(work);
        let sound = work.width >= LEAST_WORK && work.height >= LEAST_WORK;
        let work = if sound { work } else { screen };
        self.desktop = Desktop { screen, work };
        let free: Vec<(WindowId, Rect)> = self
            .table
            .values()
            .filter(|w| w.override_redirect)
            .map(|w| (w.id, w.wish()))
            .collect();
        for (id, content) in free {
            self.place(id, content, effects);
        }
    }

    /// Whoever moved a surface, its guest learns it, and an override-redirect one comes
    /// back to where its frame is seen.
    fn configured(&mut self, id: WindowId, surface: Rect, effects: &mut Vec<Effect>) {
        let desktop = self.desktop;
        let Some(window) = self.table.get_mut(&id) else {
            return;
        };
        let before = window.placed;
        if surface == before.surface {
            return;
        }
        window.placed = before.moved_to(surface);
        if window.override_redirect && !desktop.accepts(surface) {
            window.placed = desktop.place(window.placed.content, true);
            effects.push(Effect::Display(Command::Configure {
                window: id,
                surface: window.placed.surface,
            }));
        }
        if window.placed.content != before.content {
            window.tell_geometry(effects);
        }
    }

    fn key(&mut self, id: WindowId, press: Press, effects: &mut Vec<Effect>) {
        if let Some(window) = self.table.get(&id).filter(|w| w.mapped) {
            let at = window.to_guest(press.at);
            if press.down {
                self.keyboard.typed(id);
            }
            effects.push(Effect::Guest(id, FromDaemon::Key(Press { at, ..press })));
        }
    }

    /// A press on the frame is not the guest's; a release belongs to whoever had the press.
    fn button(&mut self, id: WindowId, press: Press, effects: &mut Vec<Effect>) {
        let Some(window) = self.table.get_mut(&id).filter(|w| w.mapped) else {
            return;
        };
        if !BUTTONS.contains(&press.code) {
            return;
        }
        let bit = 1 << press.code;
        let (x, y) = press.at;
        let inside = window
            .placed
            .surface
            .interior()
            .contains_point(Point { x, y });
        if press.down && inside {
            window.buttons |= bit;
        } else if !press.down && window.buttons & bit != 0 {
            window.buttons &= !bit;
        } else {
            return;
        }
        let at = window.to_guest(press.at);
        effects.push(Effect::Guest(id, FromDaemon::Button(Press { at, ..press })));
    }

    /// The pointer leaves a window only while a button is held.
    fn motion(&mut self, id: WindowId, at: Point, state: u32, effects: &mut Vec<Effect>) {
        if let Some(window) = self.table.get(&id).filter(|w| w.mapped) {
            let at = if window.buttons == 0 {
                window.to_guest_clamped(at)
            } else {
                window.to_guest((at.x, at.y))
            };
            effects.push(Effect::Guest(id, FromDaemon::Motion { at, state }));
        }
    }

    fn focus_in(&mut self, id: WindowId, keys: [u8; 32], effects: &mut Vec<Effect>) {
        if self.table.get(&id).is_some_and(|w| w.mapped) {
            self.keyboard.came(id, keys, effects);
            effects.push(Effect::Guest(id, FromDaemon::Focus { gained: true }));
        }
    }

    fn focus_out(&mut self, id: WindowId, effects: &mut Vec<Effect>) {
        let had = self.keyboard.has(id);
        self.keyboard.left(id, effects);
        if had {
            effects.push(Effect::Guest(id, FromDaemon::Focus { gained: false }));
        }
    }

    /// A window goes from the display: what is released later goes to somebody else, so its
    /// guest sees everything released now.
    pub(crate) fn let_go(&mut self, id: WindowId, effects: &mut Vec<Effect>) {
        self.keyboard.left(id, effects);
        let Some(window) = self.table.get_mut(&id) else {
            return;
        };
        let held = std::mem::take(&mut window.buttons);
        for code in BUTTONS.filter(|code| held & (1 << code) != 0) {
            let press = Press {
                down: false,
                at: (0, 0),
                state: 0,
                code,
            };
            effects.push(Effect::Guest(id, FromDaemon::Button(press)));
        }
    }
}
