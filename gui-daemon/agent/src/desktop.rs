// SPDX-License-Identifier: GPL-3.0-or-later
//! The guest's X server: taken over when the agent starts, with the windows it has.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bulkhead_types::DomId;
use bulkhead_vchan::{Endpoints, OpenError};
use x11rb::connection::{Connection, RequestConnection};
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::composite::{ConnectionExt as _, Redirect};
use x11rb::protocol::damage::ConnectionExt as _;
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xproto::{
    AtomEnum, AutoRepeatMode, ChangeKeyboardControlAux, ChangeWindowAttributesAux,
    ConnectionExt as _, CreateWindowAux, EventMask, MapState, PropMode, Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::protocol::{composite, damage, xkb};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::atoms::Atoms;
use crate::capture::{Buffer, Capture, CaptureError, image_changed};
use crate::guest::Guest;
use crate::keyboard::Keyboard;
use crate::link::Link;
use crate::placement::{Place, Placement};
use crate::pointer::Pointer;

/// The X server cannot be used, or not any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("cannot reach the X server")]
    Unreachable(#[from] Box<ConnectError>),
    #[error("lost the X server")]
    Connection(#[from] ConnectionError),
    #[error("the X server refused a request")]
    Refused(#[source] Box<ReplyOrIdError>),
    #[error("another window manager runs on this X server")]
    NotAlone,
    #[error("cannot serve the windows' channel")]
    Serve(#[from] Box<OpenError>),
    #[error("the X server has no {0} extension")]
    Missing(&'static str),
}

impl From<ReplyOrIdError> for Lost {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::ConnectionError(lost) => Self::Connection(lost),
            other => Self::Refused(Box::new(other)),
        }
    }
}

impl From<ReplyError> for Lost {
    fn from(error: ReplyError) -> Self {
        ReplyOrIdError::from(error).into()
    }
}

/// The X server, its windows, and the channel on which they are told of.
#[derive(Debug)]
pub(crate) struct Desktop {
    pub(crate) conn: RustConnection,
    pub(crate) root: Window,
    pub(crate) atoms: Atoms,
    pub(crate) guests: BTreeMap<Window, Guest>,
    pub(crate) link: Link,
    pub(crate) keyboard: Keyboard,
    pub(crate) pointer: Pointer,
    /// Windows that are gone, until the daemon says so too: their ids and pages.
    pub(crate) leaving: BTreeMap<Window, Buffer>,
    /// Windows whose id was still leaving when they came.
    pub(crate) waiting: BTreeSet<Window>,
    /// The ordinary window that was raised last.
    pub(crate) top: Window,
    own: Window,
    pub(crate) arrived: VecDeque<(Event, u64)>,
    capture: Capture,
}

impl Desktop {
    /// Connects, becomes the window manager, and serves the channel to `peer`.
    pub(crate) fn take_over(
        display: Option<&str>,
        endpoints: &Endpoints,
        peer: DomId,
    ) -> Result<Self, Lost> {
        let (conn, root, atoms, own, keyboard) = Self::prepare(display)?;
        let pointer = Pointer::read(&conn, root)?;
        let link = Link::serve(endpoints, peer).map_err(Box::new)?;
        Ok(Self {
            conn,
            root,
            atoms,
            guests: BTreeMap::new(),
            link,
            keyboard,
            pointer,
            leaving: BTreeMap::new(),
            waiting: BTreeSet::new(),
            top: x11rb::NONE,
            own,
            arrived: VecDeque::new(),
            capture: Capture::default(),
        })
    }

    fn prepare(
        display: Option<&str>,
    ) -> Result<(RustConnection, Window, Atoms, Window, Keyboard), Lost> {
        let (conn, number) = RustConnection::connect(display).map_err(Box::new)?;
        let root = conn.setup().roots[number].root;
        for name in [
            composite::X11_EXTENSION_NAME,
            damage::X11_EXTENSION_NAME,
            xkb::X11_EXTENSION_NAME,
            x11rb::protocol::shm::X11_EXTENSION_NAME,
            x11rb::protocol::xtest::X11_EXTENSION_NAME,
        ] {
            conn.extension_information(name)?
                .ok_or(Lost::Missing(name))?;
        }
        conn.composite_query_version(0, 4)?.reply()?;
        conn.damage_query_version(1, 1)?.reply()?;
        conn.shm_query_version()?.reply()?;
        conn.xtest_get_version(2, 2)?.reply()?;
        let atoms = Atoms::new(&conn)?.reply()?;
        let mask = EventMask::SUBSTRUCTURE_REDIRECT
            | EventMask::SUBSTRUCTURE_NOTIFY
            | EventMask::PROPERTY_CHANGE;
        let aux = ChangeWindowAttributesAux::new().event_mask(mask);
        match conn.change_window_attributes(root, &aux)?.check() {
            Ok(()) => {}
            Err(ReplyError::X11Error(_)) => return Err(Lost::NotAlone),
            Err(ReplyError::ConnectionError(lost)) => return Err(lost.into()),
        }
        conn.composite_redirect_subwindows(root, Redirect::MANUAL)?;
        // A key that is held repeats in dom0, where the user sees what it does.
        let aux = ChangeKeyboardControlAux::new().auto_repeat_mode(AutoRepeatMode::OFF);
        conn.change_keyboard_control(&aux)?;
        let own = conn.generate_id()?;
        let (class, copy) = (WindowClass::INPUT_ONLY, x11rb::COPY_FROM_PARENT);
        let aux = CreateWindowAux::new().override_redirect(1);
        conn.create_window(0, own, root, -10, -10, 1, 1, 0, class, copy, &aux)?;
        let check = atoms._NET_SUPPORTING_WM_CHECK;
        for window in [root, own] {
            let (replace, kind) = (PropMode::REPLACE, AtomEnum::WINDOW);
            conn.change_property32(replace, window, check, kind, &[own])?;
        }
        let (replace, name) = (PropMode::REPLACE, atoms._NET_WM_NAME);
        conn.change_property8(replace, own, name, atoms.UTF8_STRING, b"bulkhead")?;
        let supported = [
            atoms._NET_SUPPORTING_WM_CHECK,
            atoms._NET_WM_NAME,
            atoms._NET_WM_STATE,
            atoms._NET_WM_STATE_FULLSCREEN,
            atoms._NET_WM_STATE_DEMANDS_ATTENTION,
            atoms._NET_ACTIVE_WINDOW,
        ];
        let kind = AtomEnum::ATOM;
        conn.change_property32(replace, root, atoms._NET_SUPPORTED, kind, &supported)?;
        let keyboard = Keyboard::read(&conn)?;
        Ok((conn, root, atoms, own, keyboard))
    }

    /// Takes in the windows that are there already.
    pub(crate) fn adopt(&mut self) -> Result<(), Lost> {
        let tree = self.conn.query_tree(self.root)?.reply()?;
        for window in tree.children {
            self.track(window)?;
        }
        Ok(())
    }

    /// Takes in a window, unless it cannot be seen or is already gone.
    pub(crate) fn track(&mut self, window: Window) -> Result<(), Lost> {
        if window == self.own || self.guests.contains_key(&window) {
            return Ok(());
        }
        let attributes = self.conn.get_window_attributes(window)?;
        let geometry = self.conn.get_geometry(window)?;
        let asked = geometry.sequence_number();
        let (attributes, geometry) = match (attributes.reply(), geometry.reply()) {
            (Ok(attributes), Ok(geometry)) => (attributes, geometry),
            (Err(ReplyError::ConnectionError(lost)), _)
            | (_, Err(ReplyError::ConnectionError(lost))) => return Err(lost.into()),
            _ => return Ok(()),
        };
        if attributes.class == WindowClass::INPUT_ONLY {
            return Ok(());
        }
        let aux = ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        self.conn.change_window_attributes(window, &aux)?;
        let guest = Guest {
            placement: Placement::new(Place::from(&geometry), asked),
            override_redirect: attributes.override_redirect,
            ..Guest::default()
        };
        self.guests.insert(window, guest);
        if attributes.map_state != MapState::UNMAPPED {
            self.start_drawing(window)?;
        }
        if self.leaving.contains_key(&window) {
            self.waiting.insert(window);
            return Ok(());
        }
        self.announce(window)
    }

    /// Starts to watch what a mapped window draws.
    pub(crate) fn start_drawing(&mut self, window: Window) -> Result<(), Lost> {
        self.stop_drawing(window)?;
        let (pixmap, report) = (self.conn.generate_id()?, self.conn.generate_id()?);
        if let Some(guest) = self.guests.get_mut(&window) {
            self.conn.composite_name_window_pixmap(window, pixmap)?;
            let level = damage::ReportLevel::DELTA_RECTANGLES;
            self.conn.damage_create(report, window, level)?;
            guest.drawn = Some((pixmap, report));
            guest.change_all();
        }
        Ok(())
    }

    pub(crate) fn stop_drawing(&mut self, window: Window) -> Result<(), Lost> {
        if let Some(guest) = self.guests.get_mut(&window)
            && let Some((pixmap, report)) = guest.drawn.take()
        {
            self.conn.damage_destroy(report)?;
            self.conn.free_pixmap(pixmap)?;
            guest.changed.take();
        }
        Ok(())
    }

    /// The daemon has come: it hears of every window from the beginning.
    pub(crate) fn announce_all(&mut self) -> Result<(), Lost> {
        self.leaving.clear();
        self.waiting.clear();
        let windows: Vec<Window> = self.guests.keys().copied().collect();
        windows
            .into_iter()
            .try_for_each(|window| self.announce(window))
    }

    /// Captures what changed and tells the daemon, unless it is behind already.
    pub(crate) fn capture(&mut self) -> Result<(), Lost> {
        if !self.link.is_connected() || self.link.is_behind() {
            return Ok(());
        }
        let waiting = &self.waiting;
        for (window, guest) in &mut self.guests {
            let Some((pixmap, report)) = guest.drawn else {
                continue;
            };
            if guest.changed.is_empty() || waiting.contains(window) {
                continue;
            }
            // What is drawn from here on will be reported anew.
            self.conn
                .damage_subtract(report, x11rb::NONE, x11rb::NONE)?;
            let fresh = !guest.buffer.holds(guest.size());
            if fresh {
                guest.change_all();
                if let Err(error) = guest.buffer.resize(guest.size(), &self.link) {
                    tracing::warn!(%error, "no pages for a window of {:?}", guest.size());
                    guest.changed.take();
                    continue;
                }
            }
            let parts = guest.changed.take();
            // The daemon copies while the rest is still being captured; of a new image it
            // hears when there is something to see.
            let link = &mut self.link;
            let mut gone = Ok(());
            let mut bands = Vec::new();
            let captured = |band| {
                if fresh {
                    bands.push(band);
                } else if gone.is_ok() {
                    link.say(*window, &image_changed(band));
                    gone = link.flush();
                }
            };
            let (conn, buffer) = (&self.conn, &mut guest.buffer);
            match self.capture.capture(conn, pixmap, &parts, buffer, captured) {
                Ok(_) => {}
                Err(CaptureError::Lost(lost)) => return Err(lost.into()),
                Err(error) => tracing::warn!(%error, "a window cannot be captured"),
            }
            if fresh && let Some(dump) = guest.buffer.dump() {
                self.link.say(*window, &dump);
                for band in bands {
                    self.link.say(*window, &image_changed(band));
                }
            }
        }
        Ok(())
    }
}
