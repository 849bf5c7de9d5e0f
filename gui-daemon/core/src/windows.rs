// SPDX-License-Identifier: GPL-3.0-or-later
//! The table of a guest's windows, and how the guest's messages change it.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_types::DomainName;
use gui_protocol::limits::{CURSOR_BASE, CURSOR_END};
use gui_protocol::{
    Dump, FromAgent, FromDaemon, Version, WindowFlags, WindowHints, WindowId, WireRect,
};
use thiserror::Error;

use crate::keyboard::Keyboard;
use crate::placement::Desktop;
use crate::text::{shown_class, shown_title};
use crate::window::{Image, Window};
use crate::{Command, Effect, Rect, SizeHints, StateChange};

/// How much of dom0 one guest may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Windows that are shown. Further ones exist for the guest, but not for dom0.
    pub windows: usize,
    /// Windows that are remembered without being shown; one more ends the session.
    pub refused: usize,
    /// Pages mapped at the same time, over all windows. Images beyond are not shown.
    pub pages: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            windows: 500,
            refused: 10_000,
            pages: 131_072,
        }
    }
}

/// What ends a guest's session, its structure being sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Misconduct {
    /// A message about a window that was never created.
    #[error("the window {0} does not exist")]
    NoSuchWindow(WindowId),
    /// A second CREATE of the same id.
    #[error("the window {0} exists already")]
    WindowExists(WindowId),
    /// Windows without end.
    #[error("the guest has more than {0} windows")]
    TooManyWindows(usize),
}

/// All windows of one guest, as dom0 shows them.
#[derive(Debug)]
pub struct Windows {
    domain: DomainName,
    version: Version,
    limits: Limits,
    pub(crate) desktop: Desktop,
    pub(crate) table: BTreeMap<WindowId, Window>,
    refused: BTreeSet<WindowId>,
    pub(crate) keyboard: Keyboard,
    pages: usize,
    dropped: u64,
}

impl Windows {
    /// No windows yet, for a session that speaks `version`.
    pub fn new(domain: DomainName, version: Version, limits: Limits, screen: Rect) -> Self {
        Self {
            domain,
            version,
            limits,
            desktop: Desktop {
                screen,
                work: screen,
            },
            table: BTreeMap::new(),
            refused: BTreeSet::new(),
            keyboard: Keyboard::default(),
            pages: 0,
            dropped: 0,
        }
    }

    /// How many windows are shown or could be.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether the guest has no window.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Pages that are mapped.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// How many values and messages were dropped because they made no sense or were
    /// beyond a limit.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes a message of the guest.
    pub fn guest(
        &mut self,
        id: WindowId,
        message: FromAgent,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Misconduct> {
        match message {
            FromAgent::Create {
                rect,
                override_redirect,
            } => return self.create(id, rect, override_redirect, effects),
            // Nobody asked for a clipboard.
            FromAgent::ClipboardData(_) => {
                self.dropped += 1;
                return Ok(());
            }
            _ => {}
        }
        if self.refused.contains(&id) {
            self.answer_refused(id, &message, effects);
            return Ok(());
        }
        let window = self
            .table
            .get_mut(&id)
            .ok_or(Misconduct::NoSuchWindow(id))?;
        let display = |command| Effect::Display(command);
        match message {
            FromAgent::Create { .. } | FromAgent::ClipboardData(_) => {}
            FromAgent::Destroy => self.destroy(id, effects),
            FromAgent::Map {
                transient_for,
                override_redirect,
            } => self.map(id, transient_for, override_redirect, effects),
            FromAgent::Unmap => self.unmap(id, effects),
            FromAgent::Configure(rect) => self.configure(id, rect, effects),
            FromAgent::ShmImage(rect) => self.damage(id, rect),
            FromAgent::WmName(title) => effects.push(display(Command::Title {
                window: id,
                title: shown_title(&self.domain, title.bytes()),
            })),
            // Without a tray an icon is not shown; a window that is shown stays one.
            FromAgent::Dock => {
                window.docked = !window.mapped;
                self.dropped += u64::from(window.mapped);
            }
            FromAgent::WindowHints(hints) => self.hints(id, hints, effects),
            FromAgent::WindowFlags(flags) => self.flags(id, flags, effects),
            // A window manager reads the class when the window is mapped.
            FromAgent::WmClass { .. } if window.mapped => self.dropped += 1,
            FromAgent::WmClass { class, instance } => effects.push(display(Command::Class {
                window: id,
                instance: shown_class(&self.domain, instance.bytes()),
                class: shown_class(&self.domain, class.bytes()),
            })),
            FromAgent::WindowDump(dump) => self.attach(id, dump, effects),
            FromAgent::Cursor(cursor) => self.cursor(id, cursor, effects),
        }
        Ok(())
    }

    pub(crate) fn dropped_more(&mut self, count: u64) {
        self.dropped += count;
    }

    /// Everything goes: the guest left or misbehaved.
    pub fn end(&mut self, effects: &mut Vec<Effect>) {
        for id in std::mem::take(&mut self.table).into_keys() {
            effects.push(Effect::Display(Command::Release { window: id }));
            effects.push(Effect::Display(Command::Destroy { window: id }));
        }
        self.refused.clear();
        self.keyboard = Keyboard::default();
        self.pages = 0;
    }

    fn create(
        &mut self,
        id: WindowId,
        rect: WireRect,
        override_redirect: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Misconduct> {
        if self.table.contains_key(&id) || self.refused.contains(&id) {
            return Err(Misconduct::WindowExists(id));
        }
        if self.table.len() >= self.limits.windows {
            if self.refused.len() >= self.limits.refused {
                let most = self.limits.windows + self.limits.refused;
                return Err(Misconduct::TooManyWindows(most));
            }
            self.refused.insert(id);
            self.dropped += 1;
            return Ok(());
        }
        let wish = Rect::of_window(rect);
        let override_redirect = override_redirect && self.desktop.may_override(wish);
        let placed = self.desktop.place(wish, override_redirect);
        let mut window = Window::new(id, placed, override_redirect);
        let commands = [
            Command::Create {
                window: id,
                surface: placed.surface,
                override_redirect,
            },
            Command::Title {
                window: id,
                title: shown_title(&self.domain, b""),
            },
            Command::Class {
                window: id,
                instance: shown_class(&self.domain, b""),
                class: shown_class(&self.domain, b""),
            },
        ];
        effects.extend(commands.map(Effect::Display));
        window.got(placed, wish, effects);
        self.table.insert(id, window);
        Ok(())
    }

    /// A window beyond the limit gets the answers that its guest waits for, and no more.
    fn answer_refused(&mut self, id: WindowId, message: &FromAgent, effects: &mut Vec<Effect>) {
        match message {
            FromAgent::Destroy => {
                self.refused.remove(&id);
                self.acknowledge_destroy(id, effects);
            }
            FromAgent::WindowDump(_) => self.acknowledge_dump(id, effects),
            _ => {}
        }
    }

    fn acknowledge_destroy(&self, id: WindowId, effects: &mut Vec<Effect>) {
        if self.version >= Version::DESTROY_ACK {
            effects.push(Effect::Guest(id, FromDaemon::Destroy));
        }
    }

    fn acknowledge_dump(&self, id: WindowId, effects: &mut Vec<Effect>) {
        if self.version >= Version::DUMP_ACK {
            effects.push(Effect::Guest(id, FromDaemon::WindowDumpAck));
        }
    }

    fn destroy(&mut self, id: WindowId, effects: &mut Vec<Effect>) {
        self.let_go(id, effects);
        self.release(id, effects);
        self.table.remove(&id);
        effects.push(Effect::Display(Command::Destroy { window: id }));
        self.acknowledge_destroy(id, effects);
    }

    fn release(&mut self, id: WindowId, effects: &mut Vec<Effect>) {
        if let Some(window) = self.table.get_mut(&id)
            && let Some(image) = window.image.take()
        {
            window.damage = Default::default();
            self.pages -= image.pages;
            effects.push(Effect::Display(Command::Release { window: id }));
        }
    }

    fn map(
        &mut self,
        id: WindowId,
        transient_for: WindowId,
        override_redirect: bool,
        effects: &mut Vec<Effect>,
    ) {
        let parent = Some(transient_for)
            .filter(|parent| *parent != id && *parent != WindowId::SCREEN)
            .filter(|parent| self.table.contains_key(parent));
        let desktop = self.desktop;
        let Some(window) = self.table.get_mut(&id).filter(|w| !w.mapped && !w.docked) else {
            self.dropped += 1;
            return;
        };
        effects.push(Effect::Display(Command::Transient { window: id, parent }));
        let wish = window.wish();
        let on = override_redirect && desktop.may_override(wish);
        if on != window.override_redirect {
            window.override_redirect = on;
            effects.push(Effect::Display(Command::OverrideRedirect {
                window: id,
                on,
            }));
        }
        window.mapped = true;
        self.place(id, wish, effects);
        effects.push(Effect::Display(Command::Map { window: id }));
    }

    fn unmap(&mut self, id: WindowId, effects: &mut Vec<Effect>) {
        let Some(window) = self.table.get_mut(&id).filter(|w| w.mapped) else {
            return;
        };
        window.mapped = false;
        effects.push(Effect::Display(Command::Unmap { window: id }));
        self.let_go(id, effects);
        if id != WindowId::SCREEN {
            self.release(id, effects);
        }
    }

    fn configure(&mut self, id: WindowId, rect: WireRect, effects: &mut Vec<Effect>) {
        let wish = Rect::of_window(rect);
        let desktop = self.desktop;
        let Some(window) = self.table.get_mut(&id) else {
            return;
        };
        if !window.is_wish(wish, effects) {
            return;
        }
        if !window.override_redirect && wish == window.placed.content {
            // It stays where it is, also where the user moved it.
            return window.got(window.placed, wish, effects);
        }
        if window.override_redirect && !desktop.may_override(wish) {
            // It grew too large for a menu; the attribute may change only while hidden.
            window.override_redirect = false;
            let off = Command::OverrideRedirect {
                window: id,
                on: false,
            };
            if window.mapped {
                effects.push(Effect::Display(Command::Unmap { window: id }));
                effects.push(Effect::Display(off));
                effects.push(Effect::Display(Command::Map { window: id }));
            } else {
                effects.push(Effect::Display(off));
            }
        }
        self.place(id, wish, effects);
    }

    /// Puts a window where its guest wants it, or as near as it may be.
    pub(crate) fn place(&mut self, id: WindowId, wish: Rect, effects: &mut Vec<Effect>) {
        let desktop = self.desktop;
        let Some(window) = self.table.get_mut(&id) else {
            return;
        };
        let placed = desktop.place(wish, window.override_redirect);
        if placed.surface != window.placed.surface {
            effects.push(Effect::Display(Command::Configure {
                window: id,
                surface: placed.surface,
            }));
        }
        window.got(placed, wish, effects);
    }

    fn attach(&mut self, id: WindowId, dump: Dump, effects: &mut Vec<Effect>) {
        self.release(id, effects);
        let pages = dump.refs().len();
        let size = Rect::new(0, 0, dump.width() as i32, dump.height() as i32);
        if self.pages + pages > self.limits.pages {
            self.dropped += 1;
        } else if let Some(window) = self.table.get_mut(&id).filter(|_| pages > 0) {
            self.pages += pages;
            window.image = Some(Image { size, pages });
            window.damage.add(size);
            effects.push(Effect::Display(Command::Attach { window: id, dump }));
            self.clear_around(id, size, effects);
        }
        self.acknowledge_dump(id, effects);
    }

    fn hints(&mut self, id: WindowId, hints: WindowHints, effects: &mut Vec<Effect>) {
        let (hints, dropped) = SizeHints::of_guest(hints, self.desktop.work);
        self.dropped += dropped;
        effects.push(Effect::Display(Command::Hints { window: id, hints }));
    }

    fn flags(&mut self, id: WindowId, flags: WindowFlags, effects: &mut Vec<Effect>) {
        let known =
            WindowFlags::FULLSCREEN | WindowFlags::DEMANDS_ATTENTION | WindowFlags::MINIMISE;
        let both = flags.set & flags.unset;
        let set = flags.set & known & !both;
        let unset = flags.unset & known & !both & !WindowFlags::MINIMISE;
        self.dropped += u64::from((set, unset) != (flags.set, flags.unset));
        let Some(window) = self.table.get_mut(&id) else {
            return;
        };
        let mut change = StateChange {
            minimise: set & WindowFlags::MINIMISE != 0,
            ..StateChange::default()
        };
        if set & WindowFlags::DEMANDS_ATTENTION != 0 {
            change.attention = Some(true);
        } else if unset & WindowFlags::DEMANDS_ATTENTION != 0 {
            change.attention = Some(false);
        }
        // A guest never covers the whole screen by itself: it gets the work area, and is
        // told that this is what it wanted.
        if set & WindowFlags::FULLSCREEN != 0 && !change.minimise {
            window.wants_fullscreen = true;
            change.maximised = Some(true);
        } else if unset & WindowFlags::FULLSCREEN != 0 {
            window.wants_fullscreen = false;
            change.maximised = Some(false);
            change.fullscreen = Some(false);
        }
        if change != StateChange::default() {
            let mapped = window.mapped;
            effects.push(Effect::Display(Command::State {
                window: id,
                mapped,
                change,
            }));
        }
    }

    fn cursor(&mut self, id: WindowId, cursor: u32, effects: &mut Vec<Effect>) {
        let known = cursor == 0 || (CURSOR_BASE..CURSOR_END).contains(&cursor);
        self.dropped += u64::from(!known);
        let glyph = (known && cursor != 0).then(|| (cursor - CURSOR_BASE) as u16);
        effects.push(Effect::Display(Command::Cursor { window: id, glyph }));
    }
}
