// SPDX-License-Identifier: GPL-3.0-or-later
//! What GTK does not say to the window manager: a window that is seen and takes nothing.

use gdk4_x11::X11Surface;
use gtk4::prelude::*;
use gtk4::{Window, glib};
use tracing::warn;
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ClientMessageEvent, ConnectionExt, EventMask};

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
