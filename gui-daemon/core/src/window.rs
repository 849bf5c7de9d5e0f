// SPDX-License-Identifier: GPL-3.0-or-later
//! One window of a guest: its place, its image, and what the guest still has to answer.

use gui_protocol::{FromDaemon, WindowFlags, WindowId};

use crate::placement::Placed;
use crate::{Damage, Effect, Point, Rect};

/// An image that is attached: its size and the pages it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) size: Rect,
    pub(crate) pages: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) id: WindowId,
    pub(crate) placed: Placed,
    pub(crate) override_redirect: bool,
    pub(crate) mapped: bool,
    /// A tray icon; there is no tray, so it is never shown.
    pub(crate) docked: bool,
    pub(crate) image: Option<Image>,
    pub(crate) damage: Damage,
    /// The geometry that the guest has been sent and has not answered.
    unanswered: Option<Rect>,
    /// What the guest wanted for its hidden window and could not have.
    unmet: Option<Rect>,
    /// The guest asked for fullscreen and got maximised instead.
    pub(crate) wants_fullscreen: bool,
    /// Which flags the guest knows to be set.
    told_flags: u32,
    /// Buttons whose press the guest has seen, one bit each.
    pub(crate) buttons: u32,
}

impl Window {
    pub(crate) fn new(id: WindowId, placed: Placed, override_redirect: bool) -> Self {
        Self {
            id,
            placed,
            override_redirect,
            mapped: false,
            docked: false,
            image: None,
            damage: Damage::default(),
            unanswered: None,
            unmet: None,
            wants_fullscreen: false,
            told_flags: 0,
            buttons: 0,
        }
    }

    pub(crate) fn is_screen(&self) -> bool {
        self.id == WindowId::SCREEN
    }

    /// Tells the guest where its window is, unless an answer is still due: the answer
    /// will bring the difference to light. The whole screen is never moved.
    pub(crate) fn tell_geometry(&mut self, effects: &mut Vec<Effect>) {
        if self.unanswered.is_none() && !self.is_screen() {
            self.unanswered = Some(self.placed.content);
            self.unmet = None;
            self.send_unanswered(effects);
        }
    }

    /// What the guest takes for its window's geometry, as far as nothing is under way.
    pub(crate) fn wish(&self) -> Rect {
        self.unmet.unwrap_or(self.placed.content)
    }

    /// Takes note of where the window got instead of its guest's wish. The guest of a
    /// hidden one is told when it is shown: programs are made small in a corner and grow
    /// before they are shown, and an answer on its way would undo that.
    pub(crate) fn got(&mut self, placed: Placed, wish: Rect, effects: &mut Vec<Effect>) {
        self.placed = placed;
        self.unmet = None;
        if placed.content == wish {
            return;
        }
        if self.mapped {
            self.tell_geometry(effects);
        } else if self.unanswered.is_none() {
            self.unmet = Some(wish);
        }
    }

    fn send_unanswered(&self, effects: &mut Vec<Effect>) {
        if let Some(rect) = self.unanswered {
            let message = FromDaemon::Configure {
                rect: rect.to_wire(),
                override_redirect: self.override_redirect,
            };
            effects.push(Effect::Guest(self.id, message));
        }
    }

    /// Takes a CONFIGURE of the guest. Returns whether it is a wish of its own, and not
    /// the answer (or something sent before the answer) to ours.
    pub(crate) fn is_wish(&mut self, rect: Rect, effects: &mut Vec<Effect>) -> bool {
        match self.unanswered {
            None => true,
            Some(sent) if sent == rect => {
                self.unanswered = None;
                if sent != self.placed.content {
                    self.tell_geometry(effects);
                }
                false
            }
            Some(_) => {
                self.send_unanswered(effects);
                false
            }
        }
    }

    /// Sends the flags that changed since the guest was last told.
    pub(crate) fn tell_flags(&mut self, now: u32, effects: &mut Vec<Effect>) {
        let flags = WindowFlags {
            set: now & !self.told_flags,
            unset: self.told_flags & !now,
        };
        self.told_flags = now;
        if flags != WindowFlags::default() {
            effects.push(Effect::Guest(self.id, FromDaemon::WindowFlags(flags)));
        }
    }

    /// A point of the surface in the guest's coordinates.
    pub(crate) fn to_guest(&self, at: (i32, i32)) -> (i32, i32) {
        let origin = self.placed.origin();
        (at.0 - origin.x, at.1 - origin.y)
    }

    /// The nearest point of the window's visible content, in the guest's coordinates.
    pub(crate) fn to_guest_clamped(&self, at: Point) -> (i32, i32) {
        let interior = self.placed.surface.interior();
        let x =
            at.x.clamp(interior.x, (interior.right() - 1).max(interior.x));
        let y =
            at.y.clamp(interior.y, (interior.bottom() - 1).max(interior.y));
        self.to_guest((x, y))
    }

    #[cfg(test)]
    pub(crate) fn unanswered(&self) -> Option<Rect> {
        self.unanswered
    }
}
