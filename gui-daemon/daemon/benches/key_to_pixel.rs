// SPDX-License-Identifier: GPL-3.0-or-later
//! How long it takes from a key in dom0, through the daemon, the agent and a program of
//! the guest that fills its window, to the last changed pixel in dom0; and how much of that
//! the X servers need by themselves.
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
#[path = "key_to_pixel/painter.rs"]
mod painter;
#[path = "key_to_pixel/relay.rs"]
mod relay;
#[path = "../tests/it/xserver.rs"]
mod xserver;

use std::time::{Duration, Instant};

use gui_core::Rect;

use dom0::Dom0;
use guest::Guest;
use xserver::XServer;

/// Keys that are measured for each size.
const KEYS: usize = 300;
const COLORS: [u32; 2] = [0x20_40_60, 0xe0_c0_a0];
const BLUE: u32 = 0x34_65_a4;

/// Measures how long it takes from a key until the pixel in the window's far corner has the
/// other colour.
fn measure(dom0: &Dom0, corner: Rect) -> Vec<Duration> {
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

fn last_pixel(rect: Rect) -> Rect {
    Rect::new(rect.right() - 1, rect.bottom() - 1, 1, 1)
}

/// The way through the daemon and the agent.
fn through_the_pair(screen: &str, size: (u16, u16)) -> Vec<Duration> {
    let dom0 = Dom0::with_screen(screen);
    let _daemon = dom0.daemon(5, "work", "blue");
    let guest = Guest::start(&dom0, 5);
    dom0.wait_until_ready();
    let display = guest.server.display.clone();
    std::thread::spawn(move || painter::run(&display, size));
    let shown = dom0.wait_for_title("[work] painter");
    dom0.wait_for_focus(shown.xid);
    let shown = dom0.wait_for_content(shown.xid, BLUE);
    measure(
        &dom0,
        last_pixel(shown.rect.interior().shifted(shown.rect.x, shown.rect.y)),
    )
}

/// The same way with nothing but two X servers doing what they must: one has its pixels
/// fetched into memory from which the other one is told to show them.
fn through_the_servers_alone(screen: &str, size: (u16, u16)) -> Vec<Duration> {
    let dom0 = Dom0::with_screen(screen);
    let server = XServer::start("1920x1200");
    let (front, back) = (dom0.server.display.clone(), server.display.clone());
    let (sender, shown) = std::sync::mpsc::channel();
    std::thread::spawn(move || relay::run(&front, &back, size, &sender));
    let xid = shown.recv().unwrap();
    dom0.wait_for_focus(xid);
    let rect = dom0.wait_for("its window", |dom0| Some(dom0.look(xid)?.rect));
    dom0.wait_for("its first colour", |dom0| {
        (dom0.pixels(last_pixel(rect)) == [COLORS[0]]).then_some(())
    });
    measure(&dom0, last_pixel(rect))
}

fn main() {
    println!("key to pixel, {KEYS} keys, every pixel of the window changes");
    for (screen, size) in [
        ("1280x800", (8, 16)),
        ("1280x800", (800, 600)),
        ("1920x1200", (1900, 1000)),
    ] {
        let (width, height) = size;
        let at = |times: &[Duration], percent: usize| {
            times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0
        };
        let report = |what: &str, times: &[Duration]| {
            let [half, most, all] = [50, 90, 99].map(|percent| at(times, percent));
            println!(
                "{width}x{height}, {what}: p50 {half:.2} ms, p90 {most:.2} ms, p99 {all:.2} ms"
            );
        };
        let pair = through_the_pair(screen, size);
        report("daemon and agent", &pair);
        let alone = through_the_servers_alone(screen, size);
        report("the X servers alone", &alone);
        println!(
            "{width}x{height}, ratio: p50 {:.2}",
            at(&pair, 50) / at(&alone, 50)
        );
    }
}
