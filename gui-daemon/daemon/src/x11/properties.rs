// SPDX-License-Identifier: GPL-3.0-or-later
//! Properties that change during a window's life.

use gui_core::SizeHints;
use x11rb::properties::{WmSizeHints, WmSizeHintsSpecification};
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, Gravity, PropMode, Timestamp, Window};
use x11rb::wrapper::ConnectionExt as _;

use super::{DisplayError, X11};

impl X11 {
    pub(super) fn set_title(&self, xid: Window, title: &str) -> Result<(), DisplayError> {
        let replace = PropMode::REPLACE;
        let text = title.as_bytes();
        for name in [AtomEnum::WM_NAME, AtomEnum::WM_ICON_NAME] {
            self.conn
                .change_property8(replace, xid, name, AtomEnum::STRING, text)?;
        }
        for name in [self.atoms._NET_WM_NAME, self.atoms._NET_WM_ICON_NAME] {
            self.conn
                .change_property8(replace, xid, name, self.atoms.UTF8_STRING, text)?;
        }
        Ok(())
    }

    pub(super) fn set_class(
        &self,
        xid: Window,
        instance: &str,
        class: &str,
    ) -> Result<(), DisplayError> {
        let both = [instance.as_bytes(), b"\0", class.as_bytes(), b"\0"].concat();
        let (name, string) = (AtomEnum::WM_CLASS, AtomEnum::STRING);
        self.conn
            .change_property8(PropMode::REPLACE, xid, name, string, &both)?;
        Ok(())
    }

    /// Positions count for the surface itself and not for the window manager's border, so
    /// that guest and display mean the same place.
    pub(super) fn set_size_hints(&self, xid: Window, hints: SizeHints) -> Result<(), DisplayError> {
        let position = match (hints.user_position, hints.program_position) {
            (true, _) => Some(WmSizeHintsSpecification::UserSpecified),
            (false, true) => Some(WmSizeHintsSpecification::ProgramSpecified),
            (false, false) => None,
        };
        let hints = WmSizeHints {
            position: position.map(|source| (source, 0, 0)),
            min_size: hints.min,
            max_size: hints.max,
            size_increment: hints.increment,
            base_size: hints.base,
            win_gravity: Some(Gravity::STATIC),
            ..WmSizeHints::new()
        };
        hints.set_normal_hints(&self.conn, xid)?;
        Ok(())
    }

    pub(super) fn set_transient(
        &self,
        xid: Window,
        parent: Option<Window>,
    ) -> Result<(), DisplayError> {
        let name = AtomEnum::WM_TRANSIENT_FOR;
        match parent {
            Some(parent) => {
                let replace = PropMode::REPLACE;
                self.conn
                    .change_property32(replace, xid, name, AtomEnum::WINDOW, &[parent])?;
            }
            None => {
                self.conn.delete_property(xid, name.into())?;
            }
        }
        Ok(())
    }

    /// Tells the window manager when the user last did something here.
    pub(super) fn set_user_time(&self, xid: Window, time: Timestamp) -> Result<(), DisplayError> {
        let (name, cardinal) = (self.atoms._NET_WM_USER_TIME, AtomEnum::CARDINAL);
        self.conn
            .change_property32(PropMode::REPLACE, xid, name, cardinal, &[time])?;
        Ok(())
    }
}
