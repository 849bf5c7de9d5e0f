// SPDX-License-Identifier: GPL-3.0-or-later
//! The X11 back end: carries out the core's commands on an X server, and turns what
//! happens there into the core's events.
//!
//! Trusts the X server and the clients of dom0. What reaches it from a guest has been
//! through the core. No request waits for an answer in the middle of a message, and an
//! error of the server about a window that is gone is no reason to stop.

mod atoms;
mod commands;
mod desktop;
mod events;
mod pixels;
mod properties;
mod surface;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use bulkhead_types::{DomainName, Label};
use bulkhead_vchan::ShareError;
use gui_protocol::{Screen, WindowId};
use thiserror::Error;
use x11rb::connection::Connection;
use x11rb::errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, Cursor, EventMask,
    Gcontext, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;

use atoms::Atoms;
use events::Crossed;
use pixels::{Copied, Image};
use surface::Surface;

/// Behind everything that has no image yet.
const BACKGROUND: u32 = 0x00ff_ffff;
/// Bits per pixel of the only kind of screen that the protocol's images fit.
const DEPTH: u8 = 24;

/// Why the display cannot be used, or not any more.
#[derive(Debug, Error)]
pub enum DisplayError {
    /// No X server answers there.
    #[error("cannot reach the display {name}; is an X server running, and may this user use it?")]
    Unreachable {
        /// The display's name, or what the environment says.
        name: String,
        /// The reason.
        source: Box<ConnectError>,
    },
    /// The screen has another depth than the protocol's images.
    #[error("the display's screen has {0} bits per pixel; start the X server with {DEPTH}")]
    Depth(u8),
    /// The X server cannot read images from shared memory.
    #[error(
        "the display cannot take images by descriptor (MIT-SHM 1.2); is it on another machine?"
    )]
    NoSharedMemory(#[source] Box<ReplyError>),
    /// The X server has gone, or speaks another language.
    #[error("lost the display")]
    Lost(#[from] ConnectionError),
    /// The X server refused something it must be able to do.
    #[error("the display refused a request")]
    Refused(#[from] Box<ReplyOrIdError>),
    /// No memory for our copy of an image.
    #[error("cannot get memory for a window's image")]
    Memory(#[source] io::Error),
    /// The guest's pages cannot be read.
    #[error("cannot read the pages of a window")]
    Pages(#[source] ShareError),
}

impl From<ReplyOrIdError> for DisplayError {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::ConnectionError(lost) => Self::Lost(lost),
            other => Self::Refused(Box::new(other)),
        }
    }
}

impl From<ReplyError> for DisplayError {
    fn from(error: ReplyError) -> Self {
        Self::from(ReplyOrIdError::from(error))
    }
}

/// One domain's surfaces on an X server.
#[derive(Debug)]
pub struct X11 {
    conn: RustConnection,
    root: Window,
    screen: Screen,
    atoms: Atoms,
    domain: DomainName,
    label: Label,
    machine: String,
    context: Gcontext,
    depth: u8,
    background: u32,
    /// A window of our own by which the server reports that it has drawn.
    marker: Window,
    surfaces: HashMap<WindowId, Surface>,
    windows: HashMap<Window, WindowId>,
    images: HashMap<WindowId, Image>,
    spare: Option<Copied>,
    cursors: HashMap<u16, Cursor>,
    crossed: Option<Crossed>,
    arrived: VecDeque<(x11rb::protocol::Event, u64)>,
    drawn: bool,
    busy: bool,
}

impl X11 {
    /// Connects to a display (`None`: that of the environment) for the windows of a domain.
    pub fn connect(
        display: Option<&str>,
        domain: DomainName,
        label: Label,
    ) -> Result<Self, DisplayError> {
        let (conn, number) = RustConnection::connect(display).map_err(|source| {
            let name = display
                .map(str::to_owned)
                .or_else(|| std::env::var("DISPLAY").ok());
            DisplayError::Unreachable {
                name: name.unwrap_or_else(|| "(DISPLAY is not set)".to_owned()),
                source: Box::new(source),
            }
        })?;
        let screen = &conn.setup().roots[number];
        let (root, depth) = (screen.root, screen.root_depth);
        let size = Screen::new(screen.width_in_pixels, screen.height_in_pixels, depth);
        if depth != DEPTH {
            return Err(DisplayError::Depth(depth));
        }
        let version = conn.shm_query_version()?.reply();
        version.map_err(|source| DisplayError::NoSharedMemory(Box::new(source)))?;
        let atoms = Atoms::new(&conn)?.reply()?;
        let watched = EventMask::STRUCTURE_NOTIFY | EventMask::PROPERTY_CHANGE;
        let aux = ChangeWindowAttributesAux::new().event_mask(watched);
        conn.change_window_attributes(root, &aux)?;
        let context = conn.generate_id()?;
        conn.create_gc(context, root, &CreateGCAux::new().graphics_exposures(0))?;
        let marker = conn.generate_id()?;
        let aux = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        let class = WindowClass::INPUT_ONLY;
        conn.create_window(
            0,
            marker,
            root,
            -1,
            -1,
            1,
            1,
            0,
            class,
            x11rb::COPY_FROM_PARENT,
            &aux,
        )?;
        conn.flush()?;
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Ok(Self {
            conn,
            root,
            screen: size,
            atoms,
            domain,
            label,
            machine: machine.trim().to_owned(),
            context,
            depth,
            background: BACKGROUND,
            marker,
            surfaces: HashMap::new(),
            windows: HashMap::new(),
            images: HashMap::new(),
            spare: None,
            cursors: HashMap::new(),
            crossed: None,
            arrived: VecDeque::new(),
            drawn: false,
            busy: false,
        })
    }

    /// The screen, as agents are told.
    pub fn screen(&self) -> Screen {
        self.screen
    }

    /// Whose windows these are.
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// Becomes readable when something happened.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.conn.stream().as_fd()
    }

    /// Whether the server is still drawing what it was given.
    pub fn is_busy(&self) -> bool {
        self.busy
    }

    /// Ends a batch of commands: everything goes to the server.
    pub fn finish(&mut self) -> Result<(), DisplayError> {
        self.drop_spare()?;
        self.await_drawing()?;
        self.conn.flush()?;
        Ok(())
    }
}
