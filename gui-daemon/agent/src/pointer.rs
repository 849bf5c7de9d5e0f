// SPDX-License-Identifier: GPL-3.0-or-later
//! The buttons of the pointer: which are held, so that none stays so.

use std::collections::BTreeSet;

use x11rb::protocol::xproto::Window;
use x11rb::protocol::xproto::{BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConnectionExt as _};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use crate::desktop::Lost;

/// The buttons that the state of a pointer tells of, and the bit of the first.
const TOLD: std::ops::RangeInclusive<u8> = 1..=5;
const FIRST_BIT: u16 = 1 << 8;

/// The guest's pointer.
#[derive(Debug)]
pub(crate) struct Pointer {
    held: BTreeSet<u8>,
}

impl Pointer {
    /// Asks which buttons an agent before this one has left pressed.
    pub(crate) fn read(conn: &RustConnection, root: Window) -> Result<Self, Lost> {
        let state = u16::from(conn.query_pointer(root)?.reply()?.mask);
        let is_held = |button: &u8| state & (FIRST_BIT << (button - 1)) != 0;
        Ok(Self {
            held: TOLD.filter(is_held).collect(),
        })
    }

    /// Presses or releases a button where the pointer is. Numbers that are no button's are
    /// ignored, and so is the release of one that is not held.
    pub(crate) fn button(
        &mut self,
        conn: &RustConnection,
        button: u32,
        down: bool,
    ) -> Result<(), Lost> {
        let Ok(button) = u8::try_from(button) else {
            return Ok(());
        };
        let changed = if down {
            self.held.insert(button)
        } else {
            self.held.remove(&button)
        };
        if !changed {
            return Ok(());
        }
        let kind = if down {
            BUTTON_PRESS_EVENT
        } else {
            BUTTON_RELEASE_EVENT
        };
        conn.xtest_fake_input(kind, button, x11rb::CURRENT_TIME, x11rb::NONE, 0, 0, 0)?;
        Ok(())
    }

    /// Releases every button that is held.
    pub(crate) fn release_all(&mut self, conn: &RustConnection) -> Result<(), Lost> {
        for button in self.held.clone() {
            self.button(conn, button.into(), false)?;
        }
        Ok(())
    }
}
