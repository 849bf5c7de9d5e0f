// SPDX-License-Identifier: GPL-3.0-or-later
//! What the daemon says, done on the guest's X server.

use gui_protocol::{FromAgent, FromDaemon, Press, WindowFlags, WireRect};
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _, EventMask, InputFocus,
    MOTION_NOTIFY_EVENT, PropMode, StackMode, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::wrapper::ConnectionExt as _;

use crate::desktop::{Desktop, Lost};

impl Desktop {
    /// Does what the daemon said. What it says about windows that are gone is late.
    pub(crate) fn obey(&mut self, window: Window, message: FromDaemon) -> Result<(), Lost> {
        match message {
            FromDaemon::KeymapNotify(down) => {
                return self.keyboard.release_others(&self.conn, &down);
            }
            FromDaemon::Destroy => return self.left(window),
            FromDaemon::WindowDumpAck => {
                self.acknowledged(window);
                return Ok(());
            }
            // Whoever saw the press may be gone; the button must not stay down.
            FromDaemon::Button(press) if !press.down => {
                self.point(window, press.at)?;
                return self.pointer.button(&self.conn, press.code, false);
            }
            _ if !self.guests.contains_key(&window) => return Ok(()),
            _ => {}
        }
        match message {
            FromDaemon::Key(Press {
                down, state, code, ..
            }) => {
                if let Ok(key) = u8::try_from(code) {
                    self.keyboard.key(&self.conn, down, key, state)?;
                }
            }
            FromDaemon::Button(press) => {
                self.point(window, press.at)?;
                self.pointer.button(&self.conn, press.code, press.down)?;
            }
            FromDaemon::Motion { at, .. } => self.point(window, at)?,
            FromDaemon::Crossing { enter, at, .. } => {
                if enter {
                    self.raise(window)?;
                    self.point(window, at)?;
                }
            }
            FromDaemon::Focus { gained } => self.focus(window, gained)?,
            FromDaemon::Configure { rect, .. } => self.configure(window, rect)?,
            FromDaemon::Close => self.close(window)?,
            FromDaemon::WindowFlags(flags) => self.flags_changed(window, flags)?,
            // A clipboard that nobody brought here; and the window is mapped for us.
            FromDaemon::ClipboardRequest | FromDaemon::ClipboardData(_) | FromDaemon::Map => {}
            FromDaemon::KeymapNotify(_) | FromDaemon::Destroy | FromDaemon::WindowDumpAck => {}
        }
        Ok(())
    }

    fn acknowledged(&mut self, window: Window) {
        if let Some(guest) = self.guests.get_mut(&window)
            && !self.waiting.contains(&window)
        {
            guest.buffer.acknowledged();
        }
    }

    /// The daemon knows that a window is gone. A new one with its id may be told of now.
    fn left(&mut self, window: Window) -> Result<(), Lost> {
        self.leaving.remove(&window);
        if self.waiting.remove(&window) {
            self.announce(window)?;
        }
        Ok(())
    }

    /// Moves the pointer to a point of a window.
    fn point(&mut self, window: Window, at: (i32, i32)) -> Result<(), Lost> {
        if let Some(guest) = self.guests.get(&window) {
            let on_screen = |at: i32| at.clamp(0, i16::MAX.into()) as i16;
            let place = guest.placement.latest();
            let x = on_screen(place.x.saturating_add(at.0));
            let y = on_screen(place.y.saturating_add(at.1));
            let now = x11rb::CURRENT_TIME;
            self.conn
                .xtest_fake_input(MOTION_NOTIFY_EVENT, 0, now, self.root, x, y, 0)?;
        }
        Ok(())
    }

    /// Releases every key and button: nobody is there any more who would.
    pub(crate) fn let_go(&mut self) -> Result<(), Lost> {
        self.keyboard.release_all(&self.conn)?;
        self.pointer.release_all(&self.conn)
    }

    /// Brings a window to where the pointer finds it; menus stay above.
    fn raise(&mut self, window: Window) -> Result<(), Lost> {
        let ordinary = self
            .guests
            .get(&window)
            .is_some_and(|guest| !guest.override_redirect);
        if !ordinary || self.top == window {
            return Ok(());
        }
        self.top = window;
        let above = ConfigureWindowAux::new().stack_mode(StackMode::ABOVE);
        self.conn.configure_window(window, &above)?;
        let menu = |guest: &crate::guest::Guest| guest.override_redirect && guest.drawn.is_some();
        for (menu, _) in self.guests.iter().filter(|(_, guest)| menu(guest)) {
            self.conn.configure_window(*menu, &above)?;
        }
        Ok(())
    }

    fn focus(&mut self, window: Window, gained: bool) -> Result<(), Lost> {
        let now = x11rb::CURRENT_TIME;
        if !gained {
            self.conn
                .set_input_focus(InputFocus::NONE, x11rb::NONE, now)?;
            return Ok(());
        }
        self.raise(window)?;
        self.conn.set_input_focus(InputFocus::PARENT, window, now)?;
        let active = self.atoms._NET_ACTIVE_WINDOW;
        let (replace, kind) = (PropMode::REPLACE, AtomEnum::WINDOW);
        self.conn
            .change_property32(replace, self.root, active, kind, &[window])?;
        let protocols = self.atoms_of(window, self.atoms.WM_PROTOCOLS)?;
        if protocols.contains(&self.atoms.WM_TAKE_FOCUS) {
            self.send_protocol(window, self.atoms.WM_TAKE_FOCUS)?;
        }
        Ok(())
    }

    fn send_protocol(&self, window: Window, protocol: u32) -> Result<(), Lost> {
        let data = [protocol, x11rb::CURRENT_TIME, 0, 0, 0];
        let message = ClientMessageEvent::new(32, window, self.atoms.WM_PROTOCOLS, data);
        self.conn
            .send_event(false, window, EventMask::NO_EVENT, message)?;
        Ok(())
    }

    /// Puts a window where the daemon shows it, and says so at once: the answer must name
    /// what was asked for, whatever the client makes of it later.
    fn configure(&mut self, window: Window, rect: WireRect) -> Result<(), Lost> {
        let Some(guest) = self.guests.get_mut(&window) else {
            return Ok(());
        };
        let place = guest.placement.latest().within(rect);
        let aux = ConfigureWindowAux::new()
            .x(place.x)
            .y(place.y)
            .width(place.width)
            .height(place.height);
        let asked = self.conn.configure_window(window, &aux)?.sequence_number();
        guest.placement.ask(place, asked);
        guest.known = rect;
        self.link.say(window, &FromAgent::Configure(rect));
        Ok(())
    }

    /// Asks the client to close the window; one that cannot be asked is ended.
    fn close(&mut self, window: Window) -> Result<(), Lost> {
        let protocols = self.atoms_of(window, self.atoms.WM_PROTOCOLS)?;
        if protocols.contains(&self.atoms.WM_DELETE_WINDOW) {
            self.send_protocol(window, self.atoms.WM_DELETE_WINDOW)
        } else {
            self.conn.kill_client(window)?;
            Ok(())
        }
    }

    /// The window manager in dom0 gave the window another state; the client reads it here.
    fn flags_changed(&mut self, window: Window, flags: WindowFlags) -> Result<(), Lost> {
        let full = self.atoms._NET_WM_STATE_FULLSCREEN;
        let state = self.atoms._NET_WM_STATE;
        let mut states = self.atoms_of(window, state)?;
        if flags.unset & WindowFlags::FULLSCREEN != 0 {
            states.retain(|state| *state != full);
        }
        if flags.set & WindowFlags::FULLSCREEN != 0 && !states.contains(&full) {
            states.push(full);
        }
        let (replace, kind) = (PropMode::REPLACE, AtomEnum::ATOM);
        self.conn
            .change_property32(replace, window, state, kind, &states)?;
        Ok(())
    }
}
