// SPDX-License-Identifier: GPL-3.0-or-later
//! What happens on the guest's X server, and the part of a window manager: windows may go
//! where they like, the real decision is made in dom0.

use gui_protocol::{FromAgent, WindowFlags};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, CONFIGURE_NOTIFY_EVENT, ClientMessageEvent, ConfigureNotifyEvent,
    ConfigureRequestEvent, ConfigureWindowAux, ConnectionExt as _, EventMask, PropMode,
    PropertyNotifyEvent, Window,
};
use x11rb::wrapper::ConnectionExt as _;

use crate::changed::Part;
use crate::desktop::{Desktop, Lost};
use crate::placement::Place;

/// Numbers of ICCCM's WM_STATE.
const WITHDRAWN: u32 = 0;
const NORMAL: u32 = 1;
const ICONIC: u32 = 3;
/// Numbers of EWMH's _NET_WM_STATE.
const STATE_REMOVE: u32 = 0;

impl Desktop {
    /// Takes everything that has happened.
    pub(crate) fn events(&mut self) -> Result<(), Lost> {
        loop {
            let next = match self.arrived.pop_front() {
                Some(event) => Some(event),
                None => self.conn.poll_for_event_with_sequence()?,
            };
            let Some((event, sequence)) = next else {
                return Ok(());
            };
            self.event(event, sequence)?;
        }
    }

    /// Whether events are there already. They may have come with an answer, so that the
    /// descriptor does not tell.
    pub(crate) fn has_events(&mut self) -> Result<bool, Lost> {
        self.arrived
            .extend(self.conn.poll_for_event_with_sequence()?);
        Ok(!self.arrived.is_empty())
    }

    fn event(&mut self, event: Event, sequence: u64) -> Result<(), Lost> {
        match event {
            Event::CreateNotify(e) if e.parent == self.root => self.track(e.window)?,
            Event::ReparentNotify(e) if e.parent == self.root => self.track(e.window)?,
            Event::ReparentNotify(e) => self.gone(e.window)?,
            Event::DestroyNotify(e) => self.gone(e.window)?,
            Event::MapRequest(e) => {
                self.set_state(e.window, NORMAL)?;
                self.conn.map_window(e.window)?;
            }
            Event::MapNotify(e) if self.guests.contains_key(&e.window) => {
                if let Some(guest) = self.guests.get_mut(&e.window) {
                    guest.override_redirect = e.override_redirect;
                }
                self.start_drawing(e.window)?;
                if !self.waiting.contains(&e.window) {
                    self.tell_hints(e.window)?;
                    self.tell_class(e.window)?;
                    self.announce_shown(e.window)?;
                }
            }
            Event::UnmapNotify(e) if e.event == self.root => {
                self.stop_drawing(e.window)?;
                if self.guests.contains_key(&e.window) && !self.waiting.contains(&e.window) {
                    self.set_state(e.window, WITHDRAWN)?;
                    self.link.say(e.window, &FromAgent::Unmap);
                }
            }
            Event::ConfigureRequest(e) => self.configure_request(e)?,
            Event::ConfigureNotify(e) => self.configured(e, sequence)?,
            Event::PropertyNotify(e) => self.property_changed(e)?,
            Event::ClientMessage(e) => self.client_message(e),
            Event::MappingNotify(_) => self.keyboard.read_again(&self.conn)?,
            Event::DamageNotify(e) => {
                if let Some(guest) = self.guests.get_mut(&e.drawable) {
                    // Damage is counted from inside the border, the pixmap from outside.
                    let border = guest.placement.seen().border as i32;
                    let (x, y) = (i32::from(e.area.x) + border, i32::from(e.area.y) + border);
                    let (width, height) = (e.area.width.into(), e.area.height.into());
                    let part = Part::cut(x, y, width, height, guest.size());
                    guest.changed.add(part);
                }
            }
            Event::Error(error) => tracing::debug!(?error, "the X server refused a request"),
            _ => {}
        }
        Ok(())
    }

    /// A window is gone; its id and pages wait for the daemon to say so too.
    fn gone(&mut self, window: Window) -> Result<(), Lost> {
        self.stop_drawing(window)?;
        let Some(guest) = self.guests.remove(&window) else {
            return Ok(());
        };
        if self.waiting.remove(&window) {
            return Ok(());
        }
        self.link.say(window, &FromAgent::Destroy);
        if self.link.is_connected() && self.link.acknowledges(gui_protocol::Version::DESTROY_ACK) {
            self.leaving.insert(window, guest.buffer);
        }
        Ok(())
    }

    fn set_state(&self, window: Window, state: u32) -> Result<(), Lost> {
        let name = self.atoms.WM_STATE;
        let value = [state, x11rb::NONE];
        self.conn
            .change_property32(PropMode::REPLACE, window, name, name, &value)?;
        Ok(())
    }

    /// A client asks for another place: it gets it.
    fn configure_request(&mut self, e: ConfigureRequestEvent) -> Result<(), Lost> {
        let aux = ConfigureWindowAux::from_configure_request(&e)
            .sibling(None)
            .stack_mode(None);
        let asked = self
            .conn
            .configure_window(e.window, &aux)?
            .sequence_number();
        let Some(guest) = self.guests.get_mut(&e.window) else {
            return Ok(());
        };
        let before = guest.placement.latest();
        let place = before.asked_for(&aux);
        guest.placement.ask(place, asked);
        if place != before {
            return Ok(());
        }
        // A client that asks for what it has gets no event of the server's about it.
        let notify = ConfigureNotifyEvent {
            response_type: CONFIGURE_NOTIFY_EVENT,
            sequence: 0,
            event: e.window,
            window: e.window,
            above_sibling: x11rb::NONE,
            x: place.x as i16,
            y: place.y as i16,
            width: place.width as u16,
            height: place.height as u16,
            border_width: place.border as u16,
            override_redirect: false,
        };
        let mask = EventMask::STRUCTURE_NOTIFY;
        self.conn.send_event(false, e.window, mask, notify)?;
        Ok(())
    }

    fn configured(&mut self, e: ConfigureNotifyEvent, sequence: u64) -> Result<(), Lost> {
        let Some(guest) = self.guests.get_mut(&e.window) else {
            return Ok(());
        };
        let before = guest.size();
        guest.placement.happened(Place::from(&e), sequence);
        if guest.size() != before && guest.drawn.is_some() {
            // The server has given the window another pixmap.
            self.start_drawing(e.window)?;
        }
        if !self.waiting.contains(&e.window) {
            self.tell_place(e.window);
        }
        Ok(())
    }

    fn property_changed(&mut self, e: PropertyNotifyEvent) -> Result<(), Lost> {
        let Some(guest) = self.guests.get(&e.window) else {
            return Ok(());
        };
        if self.waiting.contains(&e.window) {
            return Ok(());
        }
        let shown = guest.drawn.is_some();
        let title = [self.atoms._NET_WM_NAME, AtomEnum::WM_NAME.into()];
        if title.contains(&e.atom) {
            self.tell_title(e.window)
        } else if e.atom == u32::from(AtomEnum::WM_NORMAL_HINTS) {
            self.tell_hints(e.window)
        } else if e.atom == u32::from(AtomEnum::WM_CLASS) && !shown {
            self.tell_class(e.window)
        } else {
            Ok(())
        }
    }

    /// Clients ask their window manager for other states; the one in dom0 decides.
    fn client_message(&mut self, e: ClientMessageEvent) {
        if !self.guests.contains_key(&e.window) || e.format != 32 {
            return;
        }
        let data = e.data.as_data32();
        if e.type_ == self.atoms.WM_CHANGE_STATE && data[0] == ICONIC {
            self.tell_flags(e.window, WindowFlags::MINIMISE, 0);
        } else if e.type_ == self.atoms._NET_WM_STATE {
            let flag = |state: u32| match state {
                s if s == self.atoms._NET_WM_STATE_FULLSCREEN => WindowFlags::FULLSCREEN,
                s if s == self.atoms._NET_WM_STATE_DEMANDS_ATTENTION => {
                    WindowFlags::DEMANDS_ATTENTION
                }
                _ => 0,
            };
            let flags = flag(data[1]) | flag(data[2]);
            match (flags, data[0]) {
                (0, _) => {}
                (flags, STATE_REMOVE) => self.tell_flags(e.window, 0, flags),
                (flags, _) => self.tell_flags(e.window, flags, 0),
            }
        }
    }
}
