// SPDX-License-Identifier: GPL-3.0-or-later
//! What GTK does not say to the window manager: a window that is seen and takes nothing, and where
//! one belongs that nobody has to look at.

use gdk4_x11::X11Surface;
use gtk4::prelude::*;
use gtk4::{Window, glib};
use tracing::warn;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ClientMessageEvent, ConfigureWindowAux, ConnectionExt, EventMask};

/// What is left between a window in the corner and the edges of the screen.
const MARGIN: i32 = 32;

/// Shows a window above the others without giving it the keyboard.
pub fn show(window: &Window) {
    // The window exists, and is not in view, when its properties are set.
    WidgetExt::realize(window);
    if let Some(surface) = x11_surface(window) {
        // Nothing the user did brought it up: so says the convention to window managers.
        surface.set_user_time(0);
    }
    window.set_visible(true);
    let window = window.clone();
    // What is asked of the window manager counts for windows in view.
    glib::idle_add_local_once(move || {
        if let Some(surface) = x11_surface(&window)
            && let Err(error) = put_above(surface.xid())
        {
            warn!("the window may be covered: {error}");
        }
    });
}

/// Keeps a window that is in view in the lower right corner of the screen, whatever its size.
pub fn keep_in_corner(window: &Window) {
    let Some(surface) = x11_surface(window) else {
        return;
    };
    surface.connect_layout(|surface, width, height| {
        let scale = surface.scale_factor();
        if let Err(error) = put_in_corner(surface.xid(), (width * scale, height * scale)) {
            warn!("the window may stand in the way: {error}");
        }
    });
}

fn put_in_corner(xid: u64, (width, height): (i32, i32)) -> anyhow::Result<()> {
    let xid = u32::try_from(xid)?;
    let (connection, screen) = x11rb::connect(None)?;
    let screen = &connection.setup().roots[screen];
    let place = ConfigureWindowAux::new()
        .x(i32::from(screen.width_in_pixels) - width - MARGIN)
        .y(i32::from(screen.height_in_pixels) - height - MARGIN);
    connection.configure_window(xid, &place)?.check()?;
    Ok(())
}

fn x11_surface(window: &Window) -> Option<X11Surface> {
    window.surface()?.downcast().ok()
}

fn put_above(xid: u64) -> anyhow::Result<()> {
    let xid = u32::try_from(xid)?;
    let (connection, screen) = x11rb::connect(None)?;
    let root = connection.setup().roots[screen].root;
    let atom = |name: &str| -> anyhow::Result<u32> {
        Ok(connection
            .intern_atom(false, name.as_bytes())?
            .reply()?
            .atom)
    };
    let (add, pager) = (1, 2);
    let data = [
        add,
        atom("_NET_WM_STATE_ABOVE")?,
        atom("_NET_WM_STATE_STICKY")?,
        pager,
        0,
    ];
    let event = ClientMessageEvent::new(32, xid, atom("_NET_WM_STATE")?, data);
    let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
    connection.send_event(false, root, mask, event)?.check()?;
    Ok(())
}
