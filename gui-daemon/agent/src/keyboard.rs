// SPDX-License-Identifier: GPL-3.0-or-later
//! Keys as the daemon sends them, with the modifiers brought in line first.
//!
//! The X server keeps a key pressed until somebody releases it, whoever pressed it. So the
//! agent releases what it holds when the daemon goes, and what it finds pressed when it
//! starts.

use x11rb::connection::Connection;
use x11rb::protocol::xkb::ConnectionExt as _;
use x11rb::protocol::xproto::{ConnectionExt as _, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, ModMask};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use crate::desktop::Lost;

/// Keysyms of keys that switch a modifier on and off: Scroll_Lock, Num_Lock, Caps_Lock
/// and Shift_Lock.
const LOCKS: [u32; 4] = [0xff14, 0xff7f, 0xffe5, 0xffe6];
/// XKB's name for "the keyboard in use".
const CORE_KEYBOARD: u16 = 0x100;

/// The guest's keyboard: which keys are held, and which keys are modifiers.
#[derive(Debug)]
pub(crate) struct Keyboard {
    held: [bool; 256],
    modifiers: [Modifier; 8],
}

#[derive(Clone, Debug, Default)]
struct Modifier {
    keys: Vec<u8>,
    locks: bool,
}

impl Keyboard {
    /// Asks which keys are modifiers, and which are pressed: those that an agent before
    /// this one could not release.
    pub(crate) fn read(conn: &RustConnection) -> Result<Self, Lost> {
        conn.xkb_use_extension(1, 0)?.reply()?;
        let pressed = conn.query_keymap()?.reply()?.keys;
        Ok(Self {
            held: std::array::from_fn(|key| is_down(&pressed, key as u8)),
            modifiers: modifiers(conn)?,
        })
    }

    /// Asks again which keys are modifiers.
    pub(crate) fn read_again(&mut self, conn: &RustConnection) -> Result<(), Lost> {
        self.modifiers = modifiers(conn)?;
        Ok(())
    }

    /// Presses or releases a key, after making the modifiers those of `state`.
    pub(crate) fn key(
        &mut self,
        conn: &RustConnection,
        down: bool,
        key: u8,
        state: u32,
    ) -> Result<(), Lost> {
        if self.held[usize::from(key)] == down {
            return Ok(());
        }
        if down {
            self.bring_in_line(conn, state as u8)?;
        }
        self.fake(conn, down, key)
    }

    fn bring_in_line(&mut self, conn: &RustConnection, wanted: u8) -> Result<(), Lost> {
        let state = conn.xkb_get_state(CORE_KEYBOARD)?.reply()?;
        let bits = |mask: ModMask| u16::from(mask) as u8;
        let (now, locked) = (bits(state.mods), bits(state.locked_mods));
        for (n, modifier) in self.modifiers.clone().into_iter().enumerate() {
            let bit = 1 << n;
            if wanted & bit == now & bit {
                continue;
            }
            let Some(first) = modifier.keys.first().copied() else {
                continue;
            };
            if modifier.locks || locked & bit != 0 {
                self.fake(conn, true, first)?;
                self.fake(conn, false, first)?;
            } else if wanted & bit != 0 {
                self.fake(conn, true, first)?;
            } else {
                let held = |key: &u8| self.held[usize::from(*key)];
                let keys: Vec<u8> = modifier.keys.iter().copied().filter(held).collect();
                keys.into_iter()
                    .try_for_each(|key| self.fake(conn, false, key))?;
            }
        }
        Ok(())
    }

    /// Releases what is held and is not down for the user any more.
    pub(crate) fn release_others(
        &mut self,
        conn: &RustConnection,
        down: &[u8; 32],
    ) -> Result<(), Lost> {
        for key in 0..=255u8 {
            if self.held[usize::from(key)] && !is_down(down, key) {
                self.fake(conn, false, key)?;
            }
        }
        Ok(())
    }

    /// Releases everything that is held.
    pub(crate) fn release_all(&mut self, conn: &RustConnection) -> Result<(), Lost> {
        self.release_others(conn, &[0; 32])
    }

    fn fake(&mut self, conn: &RustConnection, down: bool, key: u8) -> Result<(), Lost> {
        self.held[usize::from(key)] = down;
        let kind = if down {
            KEY_PRESS_EVENT
        } else {
            KEY_RELEASE_EVENT
        };
        conn.xtest_fake_input(kind, key, x11rb::CURRENT_TIME, x11rb::NONE, 0, 0, 0)?;
        Ok(())
    }
}

fn is_down(keys: &[u8; 32], key: u8) -> bool {
    keys[usize::from(key / 8)] & (1 << (key % 8)) != 0
}

fn modifiers(conn: &RustConnection) -> Result<[Modifier; 8], Lost> {
    let (first, last) = (conn.setup().min_keycode, conn.setup().max_keycode);
    let mapping = conn.get_keyboard_mapping(first, last - first + 1)?;
    let modifiers = conn.get_modifier_mapping()?.reply()?;
    let mapping = mapping.reply()?;
    let per_key = usize::from(mapping.keysyms_per_keycode).max(1);
    let symbols: Vec<&[u32]> = mapping.keysyms.chunks(per_key).collect();
    let per_modifier = modifiers.keycodes.len() / 8;
    let modifier = |n: usize| {
        let keys = modifiers
            .keycodes
            .iter()
            .skip(n * per_modifier)
            .take(per_modifier);
        let keys: Vec<u8> = keys.copied().filter(|key| *key != 0).collect();
        let symbols = keys
            .first()
            .and_then(|key| symbols.get(usize::from(key.saturating_sub(first))));
        let locks = symbols.is_some_and(|symbols| symbols.iter().any(|s| LOCKS.contains(s)));
        Modifier { keys, locks }
    };
    Ok(std::array::from_fn(modifier))
}
