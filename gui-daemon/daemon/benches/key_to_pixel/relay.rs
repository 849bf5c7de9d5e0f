// SPDX-License-Identifier: GPL-3.0-or-later
//! What two X servers do at least when a window of one is shown by the other: the least
//! program that passes keys one way and pixels the other, in memory that both share.

use std::sync::mpsc::Sender;

use bulkhead_vchan::SharedMemory;
use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::Event;
use x11rb::protocol::damage::{self, ConnectionExt as _, ReportLevel};
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xproto::{
    ConnectionExt as _, CreateGCAux, ImageFormat, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT,
    Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use crate::painter;

/// Shows a painter that runs on the display `back` in a window of the display `front`, and
/// says which one it is.
pub fn run(front: &str, back: &str, size: (u16, u16), shown: &Sender<Window>) {
    let display = back.to_owned();
    std::thread::spawn(move || painter::run(&display, size));
    let (back, _) = x11rb::connect(Some(back)).unwrap();
    let painted = only_window(&back);
    back.set_input_focus(InputFocus::PARENT, painted, x11rb::CURRENT_TIME)
        .unwrap();
    back.extension_information(damage::X11_EXTENSION_NAME)
        .unwrap();
    back.damage_query_version(1, 1).unwrap().reply().unwrap();
    let report = back.generate_id().unwrap();
    back.damage_create(report, painted, ReportLevel::NON_EMPTY)
        .unwrap();

    let (front, window) = painter::make(front, size);
    let context = front.generate_id().unwrap();
    front
        .create_gc(context, window, &CreateGCAux::new())
        .unwrap();
    let (width, height) = size;
    let length = usize::from(width) * usize::from(height) * 4;
    let memory = SharedMemory::create("relay", length).unwrap();
    let segments = [&back, &front].map(|conn| {
        let segment = conn.generate_id().unwrap();
        let fd = memory.fd().try_clone_to_owned().unwrap();
        conn.shm_attach_fd(segment, fd, false).unwrap();
        segment
    });
    front.map_window(window).unwrap();
    front.flush().unwrap();
    shown.send(window).unwrap();

    let format = u8::from(ImageFormat::Z_PIXMAP);
    while let Ok(event) = front.wait_for_event() {
        let Event::KeyPress(press) = event else {
            continue;
        };
        for kind in [KEY_PRESS_EVENT, KEY_RELEASE_EVENT] {
            let now = x11rb::CURRENT_TIME;
            back.xtest_fake_input(kind, press.detail, now, x11rb::NONE, 0, 0, 0)
                .unwrap();
        }
        back.flush().unwrap();
        while !matches!(back.wait_for_event().unwrap(), Event::DamageNotify(_)) {}
        back.damage_subtract(report, x11rb::NONE, x11rb::NONE)
            .unwrap();
        back.shm_get_image(painted, 0, 0, width, height, !0, format, segments[0], 0)
            .unwrap()
            .reply()
            .unwrap();
        front
            .shm_put_image(
                window,
                context,
                width,
                height,
                0,
                0,
                width,
                height,
                0,
                0,
                24,
                format,
                false,
                segments[1],
                0,
            )
            .unwrap();
        front.flush().unwrap();
    }
}

/// Waits until a display has a window that is shown.
fn only_window(conn: &RustConnection) -> Window {
    let root = conn.setup().roots[0].root;
    loop {
        let tree = conn.query_tree(root).unwrap().reply().unwrap();
        for window in tree.children {
            let attributes = conn.get_window_attributes(window).unwrap().reply();
            if attributes.is_ok_and(|a| u8::from(a.map_state) != 0) {
                return window;
            }
        }
        std::thread::yield_now();
    }
}
