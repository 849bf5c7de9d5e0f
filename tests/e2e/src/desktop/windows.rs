// SPDX-License-Identifier: GPL-3.0-or-later
//! The windows of guests on a display.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use x11rb::connection::Connection;
use x11rb::errors::{ConnectError, ConnectionError, ReplyError};
use x11rb::protocol::damage::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConfigureWindowAux,
    ConnectionExt as _, EventMask, ImageFormat, MapState, StackMode,
};
use x11rb::rust_connection::RustConnection;

use crate::{BadPicture, Picture};

/// How deep below the root a window manager puts its clients, at most.
const DEPTH: usize = 4;
/// 32-bit words of a property that are looked at.
const PROPERTY_WORDS: u32 = 256;

x11rb::atom_manager! {
    /// The properties by which a GUI daemon marks a guest's window, and the usual ones.
    pub(super) Atoms: AtomsCookie {
        _QUBES_VMNAME,
        _QUBES_LABEL,
        _NET_WM_NAME,
        WM_PROTOCOLS,
        WM_DELETE_WINDOW,
    }
}

/// The display could not be asked.
#[derive(Debug, Error)]
pub enum DesktopError {
    /// There is no display.
    #[error("cannot reach the display of dom0's desktop")]
    Connect(#[from] ConnectError),
    /// The connection broke.
    #[error("lost the display of dom0's desktop")]
    Lost(#[from] ConnectionError),
    /// A request failed.
    #[error("the display refused a request")]
    Refused(#[from] ReplyError),
    /// Ids ran out.
    #[error("the display has no ids left")]
    Ids(#[from] x11rb::errors::ReplyOrIdError),
    /// The display's pixels have a layout other than 32 bits, blue first.
    #[error("the display keeps {0} bits per pixel; the pictures need 24 or 32 bits of depth")]
    Depth(u8),
    /// The pixels do not fit the size asked for.
    #[error("the display sent a broken picture")]
    Picture(#[from] BadPicture),
}

/// A guest's window on the desktop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The X id.
    pub id: u32,
    /// The title, as a window manager shows it.
    pub title: String,
    /// The domain that the GUI daemon says it belongs to.
    pub domain: String,
    /// The label's number, 1 to 8; 0 when it is missing.
    pub label: u32,
    /// Left edge on the screen, in pixels.
    pub x: i64,
    /// Upper edge.
    pub y: i64,
    /// Width with its frame.
    pub width: u16,
    /// Height with its frame.
    pub height: u16,
    /// Whether it is mapped and so are all above it.
    pub viewable: bool,
}

/// A connection to dom0's display.
pub struct Desktop {
    pub(super) connection: RustConnection,
    root: u32,
    size: (u16, u16),
    atoms: Atoms,
}

impl Desktop {
    /// Connects to the display that `DISPLAY` names, or to `display`.
    pub fn connect(display: Option<&str>) -> Result<Self, DesktopError> {
        let (connection, screen) = RustConnection::connect(display)?;
        let atoms = Atoms::new(&connection)?.reply()?;
        let screen = &connection.setup().roots[screen];
        let (root, depth) = (screen.root, screen.root_depth);
        let size = (screen.width_in_pixels, screen.height_in_pixels);
        if !matches!(depth, 24 | 32) {
            return Err(DesktopError::Depth(depth));
        }
        Ok(Self {
            connection,
            root,
            size,
            atoms,
        })
    }

    /// Every window that a GUI daemon marked, from the lowest to the topmost.
    pub fn windows(&self) -> Result<Vec<Window>, DesktopError> {
        let mut found = Vec::new();
        self.visit(self.root, 0, &mut found)?;
        Ok(found)
    }

    /// Asks to be told of changed pixels; [`Self::windows`] does it for the window tree and
    /// for titles.
    pub(super) fn watch_everything(&self) -> Result<(), DesktopError> {
        self.connection.damage_query_version(1, 1)?.reply()?;
        let id = self.connection.generate_id()?;
        let level = damage::ReportLevel::RAW_RECTANGLES;
        self.connection
            .damage_create(id, self.root, level)?
            .check()?;
        Ok(())
    }

    fn visit(&self, id: u32, depth: usize, found: &mut Vec<Window>) -> Result<(), DesktopError> {
        let news = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::PROPERTY_CHANGE;
        let watch = ChangeWindowAttributesAux::new().event_mask(news);
        // A window may vanish between being listed and being asked; then it is not there.
        if self
            .connection
            .change_window_attributes(id, &watch)?
            .check()
            .is_err()
        {
            return Ok(());
        }
        if let Some(window) = self.describe(id)? {
            found.push(window);
            return Ok(());
        }
        if depth == DEPTH {
            return Ok(());
        }
        let Ok(tree) = self.connection.query_tree(id)?.reply() else {
            return Ok(());
        };
        tree.children
            .into_iter()
            .try_for_each(|child| self.visit(child, depth + 1, found))
    }

    fn describe(&self, id: u32) -> Result<Option<Window>, DesktopError> {
        let domain = self.text(id, self.atoms._QUBES_VMNAME)?;
        if domain.is_empty() || id == self.root {
            return Ok(None);
        }
        let attributes = self.connection.get_window_attributes(id)?.reply();
        let geometry = self.connection.get_geometry(id)?.reply();
        let place = self
            .connection
            .translate_coordinates(id, self.root, 0, 0)?
            .reply();
        let (Ok(attributes), Ok(geometry), Ok(place)) = (attributes, geometry, place) else {
            return Ok(None);
        };
        let mut title = self.text(id, self.atoms._NET_WM_NAME)?;
        if title.is_empty() {
            title = self.text(id, AtomEnum::WM_NAME.into())?;
        }
        let label = self.property(id, self.atoms._QUBES_LABEL)?;
        Ok(Some(Window {
            id,
            title,
            domain,
            label: label.first().map_or(0, |byte| u32::from(*byte)),
            x: i64::from(place.dst_x),
            y: i64::from(place.dst_y),
            width: geometry.width,
            height: geometry.height,
            viewable: attributes.map_state == MapState::VIEWABLE,
        }))
    }

    fn property(&self, id: u32, name: Atom) -> Result<Vec<u8>, DesktopError> {
        let any = AtomEnum::ANY;
        let reply = self
            .connection
            .get_property(false, id, name, any, 0, PROPERTY_WORDS)?
            .reply();
        Ok(reply.map_or_else(|_| Vec::new(), |reply| reply.value))
    }

    fn text(&self, id: u32, name: Atom) -> Result<String, DesktopError> {
        Ok(String::from_utf8_lossy(&self.property(id, name)?).into_owned())
    }

    /// The whole screen as it is shown.
    pub fn screen(&self) -> Result<Picture, DesktopError> {
        self.pixels(0, 0, self.size.0, self.size.1)
    }

    /// The screen where a window lies; `None` when it reaches over the screen's edge.
    pub fn window_pixels(&self, window: &Window) -> Result<Option<Picture>, DesktopError> {
        let (Ok(x), Ok(y)) = (u16::try_from(window.x), u16::try_from(window.y)) else {
            return Ok(None);
        };
        let right = u32::from(x) + u32::from(window.width);
        let bottom = u32::from(y) + u32::from(window.height);
        if right > u32::from(self.size.0) || bottom > u32::from(self.size.1) {
            return Ok(None);
        }
        self.pixels(x, y, window.width, window.height).map(Some)
    }

    fn pixels(&self, x: u16, y: u16, width: u16, height: u16) -> Result<Picture, DesktopError> {
        // Screens are smaller than the 32767 that the protocol's coordinates end at.
        let (left, top) = (x.cast_signed(), y.cast_signed());
        let format = ImageFormat::Z_PIXMAP;
        let request =
            self.connection
                .get_image(format, self.root, left, top, width, height, u32::MAX)?;
        let image = request.reply()?;
        let count = usize::from(width) * usize::from(height);
        if image.data.len() != count * 4 {
            return Err(DesktopError::Depth(image.depth));
        }
        let rgb = image
            .data
            .chunks_exact(4)
            .flat_map(|p| [p[2], p[1], p[0]])
            .collect();
        Ok(Picture::new(usize::from(width), usize::from(height), rgb)?)
    }

    /// Puts a window above the others, as a task bar would.
    pub fn raise(&self, id: u32) -> Result<(), DesktopError> {
        let above = ConfigureWindowAux::new().stack_mode(StackMode::ABOVE);
        // It may be gone by now.
        let _ = self.connection.configure_window(id, &above)?.check();
        Ok(())
    }

    /// Asks a window to close, as the cross in its title bar would.
    pub fn close(&self, id: u32) -> Result<(), DesktopError> {
        let data = [self.atoms.WM_DELETE_WINDOW, x11rb::CURRENT_TIME, 0, 0, 0];
        let event = ClientMessageEvent::new(32, id, self.atoms.WM_PROTOCOLS, data);
        self.connection
            .send_event(false, id, EventMask::NO_EVENT, event)?
            .check()?;
        Ok(())
    }
}
