// SPDX-License-Identifier: GPL-3.0-or-later
//! Who has the keyboard, so that no key stays pressed in a guest that does not have it.
//!
//! A guest sees a key released when the user releases it over the guest's window. When the
//! keyboard goes elsewhere first, the release goes there too, and the guest is told instead
//! which keys are down for it: none.

use gui_protocol::{FromDaemon, WindowId};

use crate::Effect;

/// Nothing is pressed.
const NO_KEYS: [u8; 32] = [0; 32];

/// The windows of a guest that keys go to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Keyboard {
    /// The one that has the keyboard.
    focused: Option<WindowId>,
    /// The one that had the last key. Without a focus keys go to where the pointer is.
    typed: Option<WindowId>,
}

impl Keyboard {
    pub(crate) fn has(&self, id: WindowId) -> bool {
        self.focused == Some(id)
    }

    /// Whether keys that are pressed may be for a window.
    #[cfg(test)]
    pub(crate) fn reaches(&self, id: WindowId) -> bool {
        self.has(id) || self.typed == Some(id)
    }

    /// A window gets the keyboard while these keys are down.
    pub(crate) fn came(&mut self, id: WindowId, keys: [u8; 32], effects: &mut Vec<Effect>) {
        self.focused = Some(id);
        self.typed = None;
        effects.push(down(keys));
    }

    /// A key went to a window.
    pub(crate) fn typed(&mut self, id: WindowId) {
        self.typed = Some(id);
    }

    /// A window has lost the keyboard, or is not shown any more.
    pub(crate) fn left(&mut self, id: WindowId, effects: &mut Vec<Effect>) {
        if self.focused == Some(id) || self.typed == Some(id) {
            *self = Self::default();
            effects.push(down(NO_KEYS));
        }
    }

    /// The pointer has left a window.
    pub(crate) fn pointer_left(&mut self, id: WindowId, effects: &mut Vec<Effect>) {
        if self.focused.is_none() {
            self.left(id, effects);
        }
    }
}

/// Tells which keys are down; they belong to no window.
pub(crate) fn down(keys: [u8; 32]) -> Effect {
    Effect::Guest(WindowId::SCREEN, FromDaemon::KeymapNotify(keys))
}
