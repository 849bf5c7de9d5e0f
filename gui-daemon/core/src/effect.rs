// SPDX-License-Identifier: GPL-3.0-or-later
//! What goes in from the display, and what comes out for display and guest.

use gui_protocol::{Dump, FromDaemon, Press, WindowId};

use crate::{Point, Rect, SizeHints};

/// Something to be done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The display does it.
    Display(Command),
    /// The guest is told.
    Guest(WindowId, FromDaemon),
}

/// What the display does.
///
/// A surface is a window of the display *with* its frame: the display makes one as a
/// whole and keeps the frame above whatever is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "`window` names the surface everywhere")]
pub enum Command {
    /// Make a surface with its frame, not shown yet.
    Create {
        window: WindowId,
        surface: Rect,
        override_redirect: bool,
    },
    /// Take the surface away.
    Destroy { window: WindowId },
    /// Show it; an override-redirect one on top.
    Map { window: WindowId },
    /// Hide it.
    Unmap { window: WindowId },
    /// Have the window manager leave it alone, or not. Only sent while it is hidden.
    OverrideRedirect { window: WindowId, on: bool },
    /// Move and resize it.
    Configure { window: WindowId, surface: Rect },
    /// Set its title: printable ASCII, with the domain's name in front.
    Title { window: WindowId, title: String },
    /// Set its class; both parts begin with the domain's name.
    Class {
        window: WindowId,
        instance: String,
        class: String,
    },
    /// Set its size hints.
    Hints { window: WindowId, hints: SizeHints },
    /// It belongs to another window of the guest, or to none.
    Transient {
        window: WindowId,
        parent: Option<WindowId>,
    },
    /// Ask the window manager for another state.
    State {
        window: WindowId,
        mapped: bool,
        change: StateChange,
    },
    /// Show a glyph of the cursor font over it, or the default.
    Cursor {
        window: WindowId,
        glyph: Option<u16>,
    },
    /// Map the pages of a new image; the window has none at that moment.
    Attach { window: WindowId, dump: Dump },
    /// Let go of the pages. No pixel of them is read after this.
    Release { window: WindowId },
    /// Copy this part of the image's pages into memory of our own, opaque.
    Fetch { image: WindowId, part: Rect },
    /// Draw this part of an image, as fetched, at a point of the surface.
    Put {
        window: WindowId,
        image: WindowId,
        part: Rect,
        at: Point,
    },
    /// Fill with the background where no image is.
    Clear { window: WindowId, part: Rect },
}

/// A wish to the window manager; `None` leaves a state as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct StateChange {
    /// Over the whole work area.
    pub maximised: Option<bool>,
    /// Over the whole screen.
    pub fullscreen: Option<bool>,
    /// Wants the user to look.
    pub attention: Option<bool>,
    /// Put it away.
    pub minimise: bool,
}

/// What happened on the display. Points are in the surface's coordinates.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "`window` names the surface everywhere")]
pub enum Event {
    /// The screen or the part of it that panels leave free changed.
    WorkArea { screen: Rect, work: Rect },
    /// Somebody moved or resized the surface.
    Configured { window: WindowId, surface: Rect },
    /// This part must be drawn again.
    Exposed { window: WindowId, part: Rect },
    /// A key, with its X keycode.
    Key { window: WindowId, press: Press },
    /// A button.
    Button { window: WindowId, press: Press },
    /// The pointer moved.
    Motion {
        window: WindowId,
        at: Point,
        state: u32,
    },
    /// The pointer came or left; `keys` are those that are down.
    Crossing {
        window: WindowId,
        enter: bool,
        at: Point,
        state: u32,
        keys: [u8; 32],
    },
    /// The surface got the keyboard.
    FocusIn { window: WindowId, keys: [u8; 32] },
    /// The surface lost the keyboard.
    FocusOut { window: WindowId },
    /// Somebody else had the keys for a while (a window manager that switches windows);
    /// `keys` are those that are down now.
    Keys { window: WindowId, keys: [u8; 32] },
    /// The user asked to close it.
    CloseRequested { window: WindowId },
    /// The window manager gave it this state.
    State {
        window: WindowId,
        maximised: bool,
        fullscreen: bool,
        minimised: bool,
    },
}
