// SPDX-License-Identifier: GPL-3.0-or-later
//! Stories of guests, honest and hostile, on a display that keeps records.

mod histories;
mod stories;

use std::collections::{BTreeMap, BTreeSet};

use gui_protocol::{Dump, FromAgent, FromDaemon, Press, Version, WindowId, WireRect};

use crate::record::{Record, Surface};
use crate::{Command, Effect, Event, Limits, Misconduct, Point, Rect, Windows};

const SCREEN: Rect = Rect {
    x: 0,
    y: 0,
    width: 1920,
    height: 1080,
};
const WORK: Rect = Rect {
    x: 0,
    y: 20,
    width: 1920,
    height: 1060,
};

/// A guest called `work`, its windows, and a display that carries everything out.
struct Desk {
    windows: Windows,
    record: Record,
    told: Vec<(WindowId, FromDaemon)>,
    /// Windows that the user moved, or whose work area changed, since they were placed.
    moved: BTreeSet<WindowId>,
    /// What the guest last said of each window's geometry.
    said: BTreeMap<WindowId, Rect>,
    /// What is pressed in the guest.
    held: BTreeSet<Pressed>,
}

/// A key or a button that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pressed {
    Key(u32),
    Button(u32),
}

impl Desk {
    fn new() -> Self {
        Self::with(Version::OURS, Limits::default())
    }

    fn with(version: Version, limits: Limits) -> Self {
        let mut desk = Self {
            windows: Windows::new("work".parse().unwrap(), version, limits, SCREEN),
            record: Record::default(),
            told: Vec::new(),
            moved: BTreeSet::new(),
            said: BTreeMap::new(),
            held: BTreeSet::new(),
        };
        desk.display(Event::WorkArea {
            screen: SCREEN,
            work: WORK,
        });
        desk
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Display(command) => {
                    self.record.carry_out(&command).unwrap();
                    if let Command::Create { window, .. }
                    | Command::Configure { window, .. }
                    | Command::OverrideRedirect { window, .. }
                    | Command::Map { window } = command
                    {
                        self.moved.remove(&window);
                    }
                }
                Effect::Guest(window, message) => {
                    self.feel(&message);
                    self.told.push((window, message));
                }
            }
        }
    }

    /// What a guest makes of keys and buttons.
    fn feel(&mut self, message: &FromDaemon) {
        let (press, pressed) = match message {
            FromDaemon::Key(press) => (press, Pressed::Key(press.code)),
            FromDaemon::Button(press) => (press, Pressed::Button(press.code)),
            FromDaemon::KeymapNotify(keys) => {
                let is_down = |key: u32| keys[key as usize / 8] & (1 << (key % 8)) != 0;
                let stays = |pressed: &Pressed| match pressed {
                    Pressed::Key(key) => is_down(*key),
                    Pressed::Button(_) => true,
                };
                return self.held.retain(stays);
            }
            _ => return,
        };
        if press.down {
            self.held.insert(pressed);
        } else {
            self.held.remove(&pressed);
        }
    }

    fn try_guest(&mut self, window: u32, message: FromAgent) -> Result<(), Misconduct> {
        let mut effects = Vec::new();
        let said = match message {
            FromAgent::Create { rect, .. } | FromAgent::Configure(rect) => Some(rect),
            _ => None,
        };
        let result = self.windows.guest(WindowId(window), message, &mut effects);
        if let Some(rect) = said.filter(|_| result.is_ok()) {
            self.said.insert(WindowId(window), Rect::of_window(rect));
        }
        self.carry_out(effects);
        result
    }

    fn guest(&mut self, window: u32, message: FromAgent) {
        self.try_guest(window, message).unwrap();
    }

    fn display(&mut self, event: Event) {
        let mut effects = Vec::new();
        match event {
            Event::Configured { window, .. } => drop(self.moved.insert(window)),
            Event::WorkArea { .. } => self.moved.extend(self.windows.table.keys()),
            _ => {}
        }
        self.windows.display(event, &mut effects);
        self.carry_out(effects);
    }

    /// Draws, and returns what was drawn.
    fn draw(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.windows.draw(&mut effects);
        self.carry_out(effects.clone());
        effects
    }

    fn create(&mut self, window: u32, rect: WireRect, override_redirect: bool) {
        self.guest(
            window,
            FromAgent::Create {
                rect,
                override_redirect,
            },
        );
    }

    fn map(&mut self, window: u32, override_redirect: bool) {
        self.guest(window, map(0, override_redirect));
    }

    fn shown(&mut self, window: u32, rect: WireRect, override_redirect: bool) {
        self.create(window, rect, override_redirect);
        self.map(window, override_redirect);
    }

    fn surface(&self, window: u32) -> &Surface {
        &self.record.surfaces[&WindowId(window)]
    }

    fn told(&mut self) -> Vec<(u32, FromDaemon)> {
        std::mem::take(&mut self.told)
            .into_iter()
            .map(|(window, message)| (window.0, message))
            .collect()
    }

    /// The guest holds only what the user presses over a window of the guest's that is shown.
    fn verify_held(&self) {
        let shown = || self.windows.table.values().filter(|window| window.mapped);
        for pressed in &self.held {
            let is_known = match pressed {
                Pressed::Key(_) => shown().any(|window| self.windows.keyboard.reaches(window.id)),
                Pressed::Button(code) => shown().any(|window| window.buttons & (1 << code) != 0),
            };
            assert!(
                is_known,
                "{pressed:?} stays pressed: {:?}",
                self.windows.keyboard
            );
        }
    }

    /// What must hold whenever nothing is under way.
    fn verify_invariants(&self, limits: &Limits) {
        let windows = &self.windows;
        let pages: usize = self.record.pages.values().sum();
        assert_eq!(pages, windows.pages());
        assert!(pages <= limits.pages && windows.len() <= limits.windows);
        assert_eq!(self.record.surfaces.len(), windows.len());
        self.verify_held();
        for (id, window) in &windows.table {
            let surface = &self.record.surfaces[id];
            assert_eq!(surface.rect, window.placed.surface);
            assert_eq!(surface.mapped, window.mapped);
            assert_eq!(surface.override_redirect, window.override_redirect);
            assert_eq!(surface.image, window.image.map(|image| image.size));
            assert!(surface.title.starts_with("[work] "));
            assert!(surface.title.bytes().all(|b| (0x20..0x7f).contains(&b)));
            assert!(!(window.docked && window.mapped));
            if !window.override_redirect && !self.moved.contains(id) {
                let work = windows.desktop.work;
                assert!(
                    work.contains(surface.rect),
                    "{surface:?} is not in {work:?}"
                );
            }
            if window.mapped && window.override_redirect {
                let desktop = windows.desktop;
                let seen = !desktop.screen.intersect(surface.rect).is_empty();
                assert!(!seen || desktop.work.contains(surface.rect), "{surface:?}");
            }
        }
    }
}

fn press(down: bool, code: u32) -> Press {
    Press {
        down,
        at: (50, 50),
        state: 0,
        code,
    }
}

fn key(window: u32, code: u32, down: bool) -> Event {
    Event::Key {
        window: WindowId(window),
        press: press(down, code),
    }
}

fn button(window: u32, code: u32, down: bool) -> Event {
    Event::Button {
        window: WindowId(window),
        press: press(down, code),
    }
}

fn focus_in(window: u32) -> Event {
    Event::FocusIn {
        window: WindowId(window),
        keys: [0; 32],
    }
}

fn leave(window: u32) -> Event {
    Event::Crossing {
        window: WindowId(window),
        enter: false,
        at: Point { x: 0, y: 0 },
        state: 0,
        keys: [0; 32],
    }
}

fn at(x: i32, y: i32, width: u32, height: u32) -> WireRect {
    WireRect {
        x,
        y,
        width,
        height,
    }
}

fn map(transient_for: u32, override_redirect: bool) -> FromAgent {
    FromAgent::Map {
        transient_for: WindowId(transient_for),
        override_redirect,
    }
}

fn dump(width: u32, height: u32) -> FromAgent {
    let refs = (0..Dump::pages_for(width, height) as u32).collect();
    FromAgent::WindowDump(Dump::new(width, height, refs).unwrap())
}

fn configure(rect: WireRect) -> FromDaemon {
    FromDaemon::Configure {
        rect,
        override_redirect: false,
    }
}
