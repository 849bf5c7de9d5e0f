// SPDX-License-Identifier: GPL-3.0-or-later
//! Commands of the core, carried out.

use gui_core::{Command, Rect, StateChange};
use gui_protocol::WindowId;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _,
    EventMask, PropMode, StackMode, Window,
};
use x11rb::wrapper::ConnectionExt as _;

use super::surface::on_the_wire;
use super::{DisplayError, X11};

/// Numbers of EWMH: who asks for a state, and what shall become of it.
const SOURCE_APPLICATION: u32 = 1;
const STATE_REMOVE: u32 = 0;
const STATE_ADD: u32 = 1;
/// ICCCM's number for a window that is put away.
const ICONIC: u32 = 3;

impl X11 {
    /// Carries out a command, other than [`Command::Attach`], which needs the pages.
    pub fn carry_out(&mut self, command: &Command) -> Result<(), DisplayError> {
        match command {
            Command::Create {
                window,
                surface,
                override_redirect,
            } => self.create_surface(*window, *surface, *override_redirect),
            Command::Destroy { window } => self.destroy(*window),
            Command::Release { window } => self.release(*window),
            Command::Fetch { image, part } => self.fetch(*image, *part),
            Command::Put {
                window,
                image,
                part,
                at,
            } => self.put(*window, *image, *part, *at),
            Command::Attach { .. } => Ok(()),
            Command::Cursor { window, glyph } => self.set_cursor(*window, *glyph),
            Command::Configure { window, surface } => self.configure(*window, *surface),
            Command::Transient { window, parent } => {
                let parent = parent.and_then(|parent| self.xid(parent));
                self.with(*window, |x11, xid| x11.set_transient(xid, parent))
            }
            Command::Map { window } => self.map(*window),
            Command::Unmap { window } => self.unmap(*window),
            Command::OverrideRedirect { window, on } => {
                if let Some(surface) = self.surfaces.get_mut(window) {
                    surface.override_redirect = *on;
                    let aux = ChangeWindowAttributesAux::new().override_redirect(u32::from(*on));
                    self.conn.change_window_attributes(surface.xid, &aux)?;
                }
                Ok(())
            }
            Command::Title { window, title } => {
                self.with(*window, |x11, xid| x11.set_title(xid, title))
            }
            Command::Class {
                window,
                instance,
                class,
            } => self.with(*window, |x11, xid| x11.set_class(xid, instance, class)),
            Command::Hints { window, hints } => {
                self.with(*window, |x11, xid| x11.set_size_hints(xid, *hints))
            }
            Command::State {
                window,
                mapped,
                change,
            } => self.with(*window, |x11, xid| x11.ask_state(xid, *mapped, *change)),
            Command::Clear { window, part } => self.with(*window, |x11, xid| {
                let (x, y, width, height) = on_the_wire(*part);
                x11.conn.clear_area(false, xid, x, y, width, height)?;
                Ok(())
            }),
        }
    }

    fn xid(&self, window: WindowId) -> Option<Window> {
        self.surfaces.get(&window).map(|surface| surface.xid)
    }

    fn with(
        &mut self,
        window: WindowId,
        action: impl FnOnce(&mut Self, Window) -> Result<(), DisplayError>,
    ) -> Result<(), DisplayError> {
        match self.xid(window) {
            Some(xid) => action(self, xid),
            None => Ok(()),
        }
    }

    fn destroy(&mut self, window: WindowId) -> Result<(), DisplayError> {
        if let Some(surface) = self.surfaces.remove(&window) {
            self.windows.remove(&surface.xid);
            self.conn.destroy_window(surface.xid)?;
        }
        Ok(())
    }

    /// Shows a surface. No window manager puts a menu where it belongs, which is on top.
    fn map(&mut self, window: WindowId) -> Result<(), DisplayError> {
        if let Some(surface) = self.surfaces.get(&window) {
            if surface.override_redirect {
                let aux = ConfigureWindowAux::new().stack_mode(StackMode::ABOVE);
                self.conn.configure_window(surface.xid, &aux)?;
            }
            self.conn.map_window(surface.xid)?;
        }
        Ok(())
    }

    fn configure(&mut self, window: WindowId, rect: Rect) -> Result<(), DisplayError> {
        if let Some(surface) = self.surfaces.get_mut(&window) {
            let (x, y, width, height) = on_the_wire(rect);
            let aux = ConfigureWindowAux::new()
                .x(i32::from(x))
                .y(i32::from(y))
                .width(u32::from(width))
                .height(u32::from(height));
            surface.configured = self
                .conn
                .configure_window(surface.xid, &aux)?
                .sequence_number();
        }
        Ok(())
    }

    /// Hides a surface, and says so in the way that window managers understand of one
    /// they have put away.
    fn unmap(&mut self, window: WindowId) -> Result<(), DisplayError> {
        let root = self.root;
        self.with(window, |x11, xid| {
            x11.conn.unmap_window(xid)?;
            let gone = x11rb::protocol::xproto::UnmapNotifyEvent {
                response_type: x11rb::protocol::xproto::UNMAP_NOTIFY_EVENT,
                sequence: 0,
                event: root,
                window: xid,
                from_configure: false,
            };
            x11.send_to_root(gone)
        })
    }

    fn send_to_root(&self, event: impl Into<[u8; 32]>) -> Result<(), DisplayError> {
        let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        self.conn.send_event(false, self.root, mask, event)?;
        Ok(())
    }

    fn ask_state(
        &self,
        xid: Window,
        mapped: bool,
        change: StateChange,
    ) -> Result<(), DisplayError> {
        let atoms = &self.atoms;
        let maximised = [
            atoms._NET_WM_STATE_MAXIMIZED_HORZ,
            atoms._NET_WM_STATE_MAXIMIZED_VERT,
        ];
        let wishes = [
            (change.maximised, maximised),
            (change.fullscreen, [atoms._NET_WM_STATE_FULLSCREEN, 0]),
            (change.attention, [atoms._NET_WM_STATE_DEMANDS_ATTENTION, 0]),
        ];
        if !mapped {
            // Before the first map the window manager reads the property.
            let wanted = |(wish, states): &(Option<bool>, [u32; 2])| {
                let states = *states;
                (*wish == Some(true)).then_some(states)
            };
            let states = wishes.iter().filter_map(wanted).flatten();
            let states: Vec<u32> = states.filter(|state| *state != 0).collect();
            let (state, atom) = (atoms._NET_WM_STATE, x11rb::protocol::xproto::AtomEnum::ATOM);
            self.conn
                .change_property32(PropMode::REPLACE, xid, state, atom, &states)?;
            return Ok(());
        }
        for (wish, [first, second]) in wishes {
            if let Some(on) = wish {
                let action = if on { STATE_ADD } else { STATE_REMOVE };
                let data = [action, first, second, SOURCE_APPLICATION, 0];
                let message = ClientMessageEvent::new(32, xid, atoms._NET_WM_STATE, data);
                self.send_to_root(message)?;
            }
        }
        if change.minimise {
            let data = [ICONIC, 0, 0, 0, 0];
            let message = ClientMessageEvent::new(32, xid, atoms.WM_CHANGE_STATE, data);
            self.send_to_root(message)?;
        }
        Ok(())
    }

    fn set_cursor(&mut self, window: WindowId, glyph: Option<u16>) -> Result<(), DisplayError> {
        let cursor = match glyph {
            None => x11rb::NONE,
            Some(glyph) => match self.cursors.get(&glyph) {
                Some(cursor) => *cursor,
                None => {
                    let (font, cursor) = (self.conn.generate_id()?, self.conn.generate_id()?);
                    self.conn.open_font(font, b"cursor")?;
                    // In the cursor font each picture is followed by its mask.
                    let mask = glyph + 1;
                    let (dark, light) = (0, u16::MAX);
                    self.conn.create_glyph_cursor(
                        cursor, font, font, glyph, mask, dark, dark, dark, light, light, light,
                    )?;
                    self.conn.close_font(font)?;
                    self.cursors.insert(glyph, cursor);
                    cursor
                }
            },
        };
        self.with(window, |x11, xid| {
            let aux = ChangeWindowAttributesAux::new().cursor(cursor);
            x11.conn.change_window_attributes(xid, &aux)?;
            Ok(())
        })
    }
}
