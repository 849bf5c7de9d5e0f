// SPDX-License-Identifier: GPL-3.0-or-later
//! A program that fills its window with another colour at each key.

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateWindowAux, EventMask, PropMode,
    Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::COLORS;

/// Makes a window with the first colour, and does not show it yet.
pub fn make(display: &str, size: (u16, u16)) -> (RustConnection, Window) {
    let (conn, screen) = x11rb::connect(Some(display)).unwrap();
    let screen = &conn.setup().roots[screen];
    let window = conn.generate_id().unwrap();
    let aux = CreateWindowAux::new()
        .event_mask(EventMask::KEY_PRESS)
        .background_pixel(COLORS[0]);
    let (class, visual) = (WindowClass::INPUT_OUTPUT, screen.root_visual);
    let (width, height) = size;
    conn.create_window(
        24,
        window,
        screen.root,
        0,
        0,
        width,
        height,
        0,
        class,
        visual,
        &aux,
    )
    .unwrap();
    let (replace, string) = (PropMode::REPLACE, AtomEnum::STRING);
    conn.change_property8(replace, window, AtomEnum::WM_NAME, string, b"painter")
        .unwrap();
    (conn, window)
}

/// Shows a window and paints until its display goes.
pub fn run(display: &str, size: (u16, u16)) {
    let (conn, window) = make(display, size);
    conn.map_window(window).unwrap();
    conn.flush().unwrap();
    let mut turn = 0;
    while let Ok(event) = conn.wait_for_event() {
        if matches!(event, Event::KeyPress(_)) {
            turn ^= 1;
            let aux = ChangeWindowAttributesAux::new().background_pixel(COLORS[turn]);
            conn.change_window_attributes(window, &aux).unwrap();
            conn.clear_area(false, window, 0, 0, 0, 0).unwrap();
            conn.flush().unwrap();
        }
    }
}
