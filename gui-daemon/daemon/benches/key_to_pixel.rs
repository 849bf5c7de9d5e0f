// SPDX-License-Identifier: GPL-3.0-or-later
//! How long it takes from a key in dom0, through the daemon, the agent and a program of
//! the guest that fills its window, to the last changed pixel in dom0.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a bench that cannot run must stop; it needs a part of what the tests need"
)]

#[path = "../tests/it/dom0.rs"]
mod dom0;
#[path = "../tests/it/guest.rs"]
mod guest;
#[path = "../tests/it/xserver.rs"]
mod xserver;

use std::time::{Duration, Instant};

use gui_core::{FRAME, Rect};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateWindowAux, EventMask, PropMode,
    WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use dom0::Dom0;
use guest::Guest;

/// Keys that are measured for each size.
const KEYS: usize = 300;
const COLORS: [u32; 2] = [0x20_40_60, 0xe0_c0_a0];
const BLUE: u32 = 0x34_65_a4;

/// A program that fills a window with another colour at each key.
fn painter(display: String, size: (u16, u16)) {
    let (conn, screen) = x11rb::connect(Some(&display)).unwrap();
    let screen = &conn.setup().roots[screen];
    let window = conn.generate_id().unwrap();
    let mask = EventMask::KEY_PRESS;
    let aux = CreateWindowAux::new()
        .event_mask(mask)
        .background_pixel(COLORS[0]);
    let (class, visual) = (WindowClass::INPUT_OUTPUT, screen.root_visual);
    conn.create_window(
        24,
        window,
        screen.root,
        0,
        0,
        size.0,
        size.1,
        0,
        class,
        visual,
        &aux,
    )
    .unwrap();
    let (replace, string) = (PropMode::REPLACE, AtomEnum::STRING);
    conn.change_property8(replace, window, AtomEnum::WM_NAME, string, b"painter")
        .unwrap();
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

fn measure(screen: &str, size: (u16, u16)) -> Vec<Duration> {
    let dom0 = Dom0::with_screen(screen);
    let _daemon = dom0.daemon(5, "work", "blue");
    let guest = Guest::start(&dom0, 5);
    dom0.wait_until_ready();
    let display = guest.server.display.clone();
    std::thread::spawn(move || painter(display, size));
    let shown = dom0.wait_for_title("[work] painter");
    dom0.wait_for_focus(shown.xid);
    let shown = dom0.wait_for_content(shown.xid, BLUE);
    let last = |rect: Rect| Rect::new(rect.right() - FRAME - 1, rect.bottom() - FRAME - 1, 1, 1);
    let corner = last(shown.rect);
    let mut times = Vec::with_capacity(KEYS);
    for key in 1..=KEYS {
        let wanted = COLORS[key % 2];
        let start = Instant::now();
        dom0.key(true, 'a'.into());
        dom0.wait_for("the colour", |dom0| {
            (dom0.pixels(corner) == [wanted]).then_some(())
        });
        times.push(start.elapsed());
        dom0.key(false, 'a'.into());
    }
    times.sort();
    times
}

fn main() {
    println!("key to pixel, {KEYS} keys, every pixel of the window changes");
    for (screen, size) in [
        ("1280x800", (8, 16)),
        ("1280x800", (800, 600)),
        ("1920x1200", (1900, 1000)),
    ] {
        let times = measure(screen, size);
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
        let (width, height) = size;
        println!(
            "{width}x{height}: p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms",
            at(50),
            at(90),
            at(99)
        );
    }
}
