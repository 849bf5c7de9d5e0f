// SPDX-License-Identifier: GPL-3.0-or-later
//! Where a program of a guest is told that its window is.

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ConfigureWindowAux, ConnectionExt as _, CreateWindowAux, EventMask, WindowClass,
};

use crate::dom0::Dom0;
use crate::guest::Guest;

#[test]
fn a_client_that_grows_and_moves_before_it_is_shown_never_hears_that_it_is_small() {
    let dom0 = Dom0::start();
    let _daemon = dom0.daemon(5, "work", "blue");
    let guest = Guest::start(&dom0, 5);
    dom0.wait_until_ready();
    let (conn, screen) = x11rb::connect(Some(&guest.server.display)).unwrap();
    let root = conn.setup().roots[screen].root;
    for _ in 0..20 {
        let window = conn.generate_id().unwrap();
        let aux = CreateWindowAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        let (class, copy) = (WindowClass::INPUT_OUTPUT, x11rb::COPY_FROM_PARENT);
        conn.create_window(24, window, root, 0, 0, 1, 1, 0, class, copy, &aux)
            .unwrap();
        let changes = [
            ConfigureWindowAux::new().width(300).height(200),
            ConfigureWindowAux::new().x(50).y(60),
            ConfigureWindowAux::new().border_width(0),
        ];
        for change in changes {
            conn.configure_window(window, &change).unwrap();
        }
        conn.map_window(window).unwrap();
        conn.flush().unwrap();
        let mut heard = Vec::new();
        // The last thing it hears is where dom0 shows it.
        let shown = dom0.wait_for("its window", |dom0| dom0.shown().pop());
        loop {
            let event = conn.wait_for_event().unwrap();
            let x11rb::protocol::Event::ConfigureNotify(e) = event else {
                continue;
            };
            heard.push((e.width, e.height));
            let inside = shown.rect.interior().shifted(shown.rect.x, shown.rect.y);
            if (i32::from(e.x), i32::from(e.y)) == (inside.x, inside.y) {
                break;
            }
        }
        assert!(heard.iter().all(|size| *size == (300, 200)), "{heard:?}");
        conn.destroy_window(window).unwrap();
        conn.flush().unwrap();
        dom0.wait_for("its end", |dom0| dom0.shown().is_empty().then_some(()));
    }
}
