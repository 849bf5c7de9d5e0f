// SPDX-License-Identifier: GPL-3.0-or-later
//! A surface: a window of the display and the frame above it.
//!
//! The frame is four child windows in the label's colour, held to the edges by the X
//! server itself (window gravity). Drawing into the surface is clipped by its children,
//! so nothing that is drawn can cover the frame, and it is there from the first moment
//! on, before any pixel of the guest, also while the surface changes its size and while
//! this process is busy or stopped.

use gui_core::{FRAME, Rect};
use gui_protocol::WindowId;
use gui_protocol::limits::{MAX_HEIGHT, MAX_WIDTH};
use x11rb::connection::Connection;
use x11rb::properties::{WmHints, WmHintsState};
use x11rb::protocol::xproto::{
    AtomEnum, ConnectionExt as _, CreateWindowAux, EventMask, Gravity, PropMode, Window,
    WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use super::{DisplayError, X11};

/// The edge of the icon, in pixels.
const ICON: u32 = 32;

#[derive(Debug)]
pub(super) struct Surface {
    pub(super) xid: Window,
    pub(super) override_redirect: bool,
    /// The last request that changed its geometry; events from before it are outdated.
    pub(super) configured: u64,
    /// Whether a window manager has put it into a window of its own.
    pub(super) reparented: bool,
}

fn event_mask() -> EventMask {
    EventMask::KEY_PRESS
        | EventMask::KEY_RELEASE
        | EventMask::BUTTON_PRESS
        | EventMask::BUTTON_RELEASE
        | EventMask::POINTER_MOTION
        | EventMask::ENTER_WINDOW
        | EventMask::LEAVE_WINDOW
        | EventMask::KEYMAP_STATE
        | EventMask::FOCUS_CHANGE
        | EventMask::EXPOSURE
        | EventMask::STRUCTURE_NOTIFY
        | EventMask::PROPERTY_CHANGE
}

impl X11 {
    /// Makes a surface with its frame and all properties by which others know whose it is.
    pub(super) fn create_surface(
        &mut self,
        window: WindowId,
        rect: Rect,
        override_redirect: bool,
    ) -> Result<(), DisplayError> {
        let xid = self.conn.generate_id()?;
        let aux = CreateWindowAux::new()
            .background_pixel(self.background)
            .bit_gravity(Gravity::NORTH_WEST)
            .override_redirect(u32::from(override_redirect))
            .event_mask(event_mask());
        self.make_window(xid, self.root, rect, &aux)?;
        self.create_frame(xid, rect)?;
        self.set_identity(xid, window)?;
        self.surfaces.insert(
            window,
            Surface {
                xid,
                override_redirect,
                configured: 0,
                reparented: false,
            },
        );
        self.windows.insert(xid, window);
        Ok(())
    }

    fn create_frame(&self, surface: Window, rect: Rect) -> Result<(), DisplayError> {
        // Longer than any surface, so that only the position has to follow its size.
        let (wide, high) = (MAX_WIDTH as i32 + 2 * FRAME, MAX_HEIGHT as i32 + 2 * FRAME);
        let sides = [
            (Rect::new(0, 0, wide, FRAME), Gravity::NORTH_WEST),
            (Rect::new(0, 0, FRAME, high), Gravity::NORTH_WEST),
            (
                Rect::new(rect.width - FRAME, 0, FRAME, high),
                Gravity::NORTH_EAST,
            ),
            (
                Rect::new(0, rect.height - FRAME, wide, FRAME),
                Gravity::SOUTH_WEST,
            ),
        ];
        for (side, gravity) in sides {
            let aux = CreateWindowAux::new()
                .background_pixel(self.label.color().rgb())
                .win_gravity(gravity);
            self.make_window(self.conn.generate_id()?, surface, side, &aux)?;
        }
        self.conn.map_subwindows(surface)?;
        Ok(())
    }

    fn make_window(
        &self,
        xid: Window,
        parent: Window,
        rect: Rect,
        aux: &CreateWindowAux,
    ) -> Result<(), DisplayError> {
        let (x, y, width, height) = on_the_wire(rect);
        let class = WindowClass::INPUT_OUTPUT;
        let copy = x11rb::COPY_FROM_PARENT;
        let depth = x11rb::COPY_DEPTH_FROM_PARENT;
        self.conn
            .create_window(depth, xid, parent, x, y, width, height, 0, class, copy, aux)?;
        Ok(())
    }

    /// What a window manager must know before the first map: a window without these
    /// properties passes for dom0's own.
    fn set_identity(&self, xid: Window, window: WindowId) -> Result<(), DisplayError> {
        let (conn, atoms) = (&self.conn, &self.atoms);
        let cardinal = AtomEnum::CARDINAL;
        let replace = PropMode::REPLACE;
        let name = self.domain.as_str().as_bytes();
        conn.change_property8(
            replace,
            xid,
            atoms._QUBES_LABEL,
            cardinal,
            &[self.label.index()],
        )?;
        let color = [self.label.color().rgb()];
        conn.change_property32(replace, xid, atoms._QUBES_LABEL_COLOR, cardinal, &color)?;
        conn.change_property8(replace, xid, atoms._QUBES_VMNAME, AtomEnum::STRING, name)?;
        let id = [window.0];
        conn.change_property32(replace, xid, atoms._QUBES_VMWINDOWID, AtomEnum::WINDOW, &id)?;
        let machine = self.machine.as_bytes();
        conn.change_property8(
            replace,
            xid,
            atoms.WM_CLIENT_MACHINE,
            AtomEnum::STRING,
            machine,
        )?;
        let process = [std::process::id()];
        conn.change_property32(replace, xid, atoms._NET_WM_PID, cardinal, &process)?;
        let protocols = [atoms.WM_DELETE_WINDOW, atoms._NET_WM_PING];
        conn.change_property32(replace, xid, atoms.WM_PROTOCOLS, AtomEnum::ATOM, &protocols)?;
        conn.change_property32(replace, xid, atoms._NET_WM_ICON, cardinal, &self.icon())?;
        let hints = WmHints {
            input: Some(true),
            initial_state: Some(WmHintsState::Normal),
            ..WmHints::new()
        };
        hints.set(conn, xid)?;
        self.set_size_hints(xid, Default::default())?;
        Ok(())
    }

    /// A square in the label's colour with a dark edge.
    fn icon(&self) -> Vec<u32> {
        let opaque = |rgb: u32| 0xff00_0000 | rgb;
        let inside = opaque(self.label.color().rgb());
        let pixel = |at: u32| {
            let (x, y) = (at % ICON, at / ICON);
            let edge = x == 0 || y == 0 || x == ICON - 1 || y == ICON - 1;
            if edge { opaque(0x20_20_20) } else { inside }
        };
        [ICON, ICON]
            .into_iter()
            .chain((0..ICON * ICON).map(pixel))
            .collect()
    }
}

/// A rectangle in the integers of X. Surfaces stay far within their range.
pub(super) fn on_the_wire(rect: Rect) -> (i16, i16, u16, u16) {
    let place = |at: i32| at.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    let size = |size: i32| size.clamp(1, i16::MAX.into()) as u16;
    (
        place(rect.x),
        place(rect.y),
        size(rect.width),
        size(rect.height),
    )
}
