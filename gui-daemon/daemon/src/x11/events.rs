// SPDX-License-Identifier: GPL-3.0-or-later
//! What happens on the X server, in the core's words.

use gui_core::{Event, Point, Rect};
use gui_protocol::{Press, WindowId};
use tracing::debug;
use x11rb::connection::Connection;
use x11rb::protocol::Event as XEvent;
use x11rb::protocol::xproto::{
    AtomEnum, ButtonPressEvent, ClientMessageEvent, ConfigureNotifyEvent, ConnectionExt as _,
    EventMask, KeyPressEvent, NotifyDetail, NotifyMode, Window,
};

use super::{DisplayError, X11};

/// Set in the type of an event that another client sent.
const SENT: u8 = 0x80;

/// The keyboard or the pointer came: the server says next which keys are down.
#[derive(Debug)]
pub(super) enum Crossed {
    Focus(WindowId),
    /// It had been there all the time, but the keys had gone to somebody else.
    Back(WindowId),
    Pointer {
        window: WindowId,
        at: Point,
        state: u32,
    },
}

impl X11 {
    /// Takes everything that has happened. Motions in a row become the last one.
    pub fn events(&mut self) -> Result<Vec<Event>, DisplayError> {
        let mut events = Vec::new();
        while let Some((event, sequence)) = self.next_event()? {
            let Some(event) = self.translate(event, sequence)? else {
                continue;
            };
            if let (Event::Motion { window, .. }, Some(Event::Motion { window: last, .. })) =
                (&event, events.last())
                && window == last
            {
                events.pop();
            }
            events.push(event);
        }
        Ok(events)
    }

    fn next_event(&mut self) -> Result<Option<(XEvent, u64)>, DisplayError> {
        match self.arrived.pop_front() {
            Some(event) => Ok(Some(event)),
            None => Ok(self.conn.poll_for_event_with_sequence()?),
        }
    }

    /// Whether events are there already. They may have come with something else, so that
    /// the descriptor does not tell.
    pub fn has_events(&mut self) -> Result<bool, DisplayError> {
        self.arrived
            .extend(self.conn.poll_for_event_with_sequence()?);
        Ok(!self.arrived.is_empty())
    }

    fn translate(&mut self, event: XEvent, sequence: u64) -> Result<Option<Event>, DisplayError> {
        Ok(match event {
            XEvent::Error(error) => {
                // Most often about a window that went away meanwhile.
                debug!(?error, "the display refused a request");
                None
            }
            XEvent::KeyPress(e) => self.key(e, true)?,
            XEvent::KeyRelease(e) => self.key(e, false)?,
            XEvent::ButtonPress(e) => self.button(e, true)?,
            XEvent::ButtonRelease(e) => self.button(e, false)?,
            XEvent::MotionNotify(e) => self.windows.get(&e.event).map(|window| Event::Motion {
                window: *window,
                at: point(e.event_x, e.event_y),
                state: u32::from(u16::from(e.state)),
            }),
            XEvent::EnterNotify(e) if e.detail != NotifyDetail::INFERIOR => {
                let window = self.windows.get(&e.event);
                self.crossed = window.map(|window| Crossed::Pointer {
                    window: *window,
                    at: point(e.event_x, e.event_y),
                    state: u32::from(u16::from(e.state)),
                });
                None
            }
            XEvent::LeaveNotify(e) if e.detail != NotifyDetail::INFERIOR => {
                self.windows.get(&e.event).map(|window| Event::Crossing {
                    window: *window,
                    enter: false,
                    at: point(e.event_x, e.event_y),
                    state: u32::from(u16::from(e.state)),
                    keys: [0; 32],
                })
            }
            XEvent::FocusIn(e) if is_real_focus(e.mode, e.detail) => {
                self.crossed = self.windows.get(&e.event).copied().map(Crossed::Focus);
                None
            }
            XEvent::FocusIn(e) if e.mode == NotifyMode::UNGRAB => {
                self.crossed = self.windows.get(&e.event).copied().map(Crossed::Back);
                None
            }
            XEvent::FocusOut(e) if is_real_focus(e.mode, e.detail) => {
                let window = self.windows.get(&e.event).copied();
                window.map(|window| Event::FocusOut { window })
            }
            XEvent::KeymapNotify(e) => self.crossed.take().map(|crossed| {
                // The first eight keycodes do not exist and are not sent.
                let mut keys = [0; 32];
                keys[1..].copy_from_slice(&e.keys);
                arrived(crossed, keys)
            }),
            XEvent::Expose(e) => self.windows.get(&e.window).map(|window| Event::Exposed {
                window: *window,
                part: Rect::new(e.x.into(), e.y.into(), e.width.into(), e.height.into()),
            }),
            XEvent::ReparentNotify(e) => {
                let reparented = e.parent != self.root;
                if let Some(window) = self.windows.get(&e.window)
                    && let Some(surface) = self.surfaces.get_mut(window)
                {
                    surface.reparented = reparented;
                }
                None
            }
            XEvent::ConfigureNotify(e) if e.window == self.root => Some(self.work_area()?),
            XEvent::ConfigureNotify(e) => self.configured(e, sequence)?,
            XEvent::PropertyNotify(e) if e.window == self.marker => {
                self.busy = false;
                None
            }
            XEvent::PropertyNotify(e) if e.window == self.root => {
                let area = [self.atoms._NET_WORKAREA, self.atoms._NET_CURRENT_DESKTOP];
                area.contains(&e.atom)
                    .then(|| self.work_area())
                    .transpose()?
            }
            XEvent::PropertyNotify(e) if e.atom == self.atoms._NET_WM_STATE => {
                self.state(e.window)?
            }
            XEvent::ClientMessage(e) => self.client_message(e)?,
            _ => None,
        })
    }

    fn key(&self, e: KeyPressEvent, down: bool) -> Result<Option<Event>, DisplayError> {
        let Some(window) = self.windows.get(&e.event).copied() else {
            return Ok(None);
        };
        if down {
            self.set_user_time(e.event, e.time)?;
        }
        let press = Press {
            down,
            at: (e.event_x.into(), e.event_y.into()),
            state: u32::from(u16::from(e.state)),
            code: e.detail.into(),
        };
        Ok(Some(Event::Key { window, press }))
    }

    fn button(&self, e: ButtonPressEvent, down: bool) -> Result<Option<Event>, DisplayError> {
        let Some(window) = self.windows.get(&e.event).copied() else {
            return Ok(None);
        };
        if down {
            self.set_user_time(e.event, e.time)?;
        }
        let press = Press {
            down,
            at: (e.event_x.into(), e.event_y.into()),
            state: u32::from(u16::from(e.state)),
            code: e.detail.into(),
        };
        Ok(Some(Event::Button { window, press }))
    }

    fn configured(
        &mut self,
        e: ConfigureNotifyEvent,
        sequence: u64,
    ) -> Result<Option<Event>, DisplayError> {
        let Some(window) = self.windows.get(&e.window).copied() else {
            return Ok(None);
        };
        let Some(surface) = self.surfaces.get(&window) else {
            return Ok(None);
        };
        if sequence < surface.configured {
            // Sent before the server saw what we asked for since: a newer one follows.
            return Ok(None);
        }
        let (mut x, mut y) = (i32::from(e.x), i32::from(e.y));
        if surface.reparented && e.response_type & SENT == 0 {
            // Counted from the window manager's own window.
            let place = self.conn.translate_coordinates(e.window, self.root, 0, 0)?;
            match place.reply() {
                Ok(place) => (x, y) = (place.dst_x.into(), place.dst_y.into()),
                Err(x11rb::errors::ReplyError::X11Error(_)) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        let surface = Rect::new(x, y, e.width.into(), e.height.into());
        Ok(Some(Event::Configured { window, surface }))
    }

    fn state(&self, xid: Window) -> Result<Option<Event>, DisplayError> {
        let Some(window) = self.windows.get(&xid).copied() else {
            return Ok(None);
        };
        let name = self.atoms._NET_WM_STATE;
        let states = self
            .conn
            .get_property(false, xid, name, AtomEnum::ATOM, 0, 64)?;
        let states: Vec<u32> = match states.reply() {
            Ok(reply) => reply.value32().into_iter().flatten().collect(),
            Err(x11rb::errors::ReplyError::X11Error(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let has = |atom| states.contains(&atom);
        let atoms = &self.atoms;
        Ok(Some(Event::State {
            window,
            maximised: has(atoms._NET_WM_STATE_MAXIMIZED_HORZ)
                && has(atoms._NET_WM_STATE_MAXIMIZED_VERT),
            fullscreen: has(atoms._NET_WM_STATE_FULLSCREEN),
            minimised: has(atoms._NET_WM_STATE_HIDDEN),
        }))
    }

    fn client_message(&self, e: ClientMessageEvent) -> Result<Option<Event>, DisplayError> {
        let Some(window) = self.windows.get(&e.window).copied() else {
            return Ok(None);
        };
        if e.type_ != self.atoms.WM_PROTOCOLS || e.format != 32 {
            return Ok(None);
        }
        let protocol = e.data.as_data32()[0];
        if protocol == self.atoms._NET_WM_PING {
            // The window manager asks whether this process is alive, not the guest.
            let answer = ClientMessageEvent {
                window: self.root,
                ..e
            };
            let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
            self.conn.send_event(false, self.root, mask, answer)?;
        }
        let close = protocol == self.atoms.WM_DELETE_WINDOW;
        Ok(close.then_some(Event::CloseRequested { window }))
    }
}

fn point(x: i16, y: i16) -> Point {
    Point {
        x: x.into(),
        y: y.into(),
    }
}

fn arrived(crossed: Crossed, keys: [u8; 32]) -> Event {
    match crossed {
        Crossed::Focus(window) => Event::FocusIn { window, keys },
        Crossed::Back(window) => Event::Keys { window, keys },
        Crossed::Pointer { window, at, state } => Event::Crossing {
            window,
            enter: true,
            at,
            state,
            keys,
        },
    }
}

/// Grabs and the pointer's part in the focus do not concern a guest.
fn is_real_focus(mode: NotifyMode, detail: NotifyDetail) -> bool {
    let mode = mode == NotifyMode::NORMAL || mode == NotifyMode::WHILE_GRABBED;
    let detail = detail != NotifyDetail::POINTER && detail != NotifyDetail::INFERIOR;
    mode && detail
}
