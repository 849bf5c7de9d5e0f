// SPDX-License-Identifier: GPL-3.0-or-later
//! Agents that are scripts of bytes: what they do costs them their session at most.

use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{Endpoints, RingSizes, Transport, Vchan};
use gui_core::{FRAME, Limits, Rect};
use gui_protocol::{Decoder, FromAgent, FromDaemon, Message, Screen, Version, WindowId, WireRect};
use nix::sys::signal::{Signal, kill};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConfigureWindowAux, ConnectionExt as _};

use crate::dom0::Dom0;
use crate::guest::Guest;

const RED: u32 = 0xcc_00_00;
const BLUE: u32 = 0x34_65_a4;

/// An agent in the test's hands.
struct Script {
    vchan: Vchan,
    decoder: Decoder,
}

impl Script {
    fn serve(dom0: &Dom0, domid: u32) -> Self {
        let own = DomId::new(domid).unwrap();
        let endpoints = Endpoints::new(Transport::Local(dom0.vchans()), own).unwrap();
        let sizes = RingSizes::both(65536);
        let vchan = endpoints.serve(DomId::DOM0, Port::GUI, sizes).unwrap();
        Self {
            vchan,
            decoder: Decoder::default(),
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        let deadline = Some(Instant::now() + Duration::from_secs(60));
        self.vchan.write_all_blocking(bytes, deadline).unwrap();
    }

    fn receive(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let deadline = Some(Instant::now() + Duration::from_secs(60));
        self.vchan
            .read_exact_blocking(&mut bytes, deadline)
            .unwrap();
        bytes
    }

    fn shake_hands(&mut self) {
        self.send(&Version::OURS.to_word().to_le_bytes());
        let reply = self.receive(4 + Screen::SIZE);
        assert_eq!(reply[..4], Version::OURS.to_word().to_le_bytes());
    }

    fn say(&mut self, window: u32, message: FromAgent) {
        self.send(&message.to_bytes(WindowId(window)));
    }

    fn window(&mut self, window: u32, rect: (i32, i32, u32, u32), override_redirect: bool) {
        let (x, y, width, height) = rect;
        let rect = WireRect {
            x,
            y,
            width,
            height,
        };
        self.say(
            window,
            FromAgent::Create {
                rect,
                override_redirect,
            },
        );
        let transient_for = WindowId(0);
        self.say(
            window,
            FromAgent::Map {
                transient_for,
                override_redirect,
            },
        );
    }

    fn hear(&mut self) -> (WindowId, FromDaemon) {
        loop {
            if let Some(heard) = self.decoder.message(Version::OURS).unwrap() {
                return heard;
            }
            let byte = self.receive(1);
            self.decoder.feed(&byte);
        }
    }

    /// Everything said so far has been taken in when a destroyed window is acknowledged.
    fn settle(&mut self) {
        let last = 0xffff_0000;
        let rect = WireRect::default();
        let override_redirect = false;
        self.say(
            last,
            FromAgent::Create {
                rect,
                override_redirect,
            },
        );
        self.say(last, FromAgent::Destroy);
        while self.hear() != (WindowId(last), FromDaemon::Destroy) {}
    }
}

/// The only surface there is.
fn only(dom0: &Dom0) -> Option<(u32, Rect)> {
    match &dom0.shown()[..] {
        [one] => Some((one.xid, one.rect)),
        _ => None,
    }
}

#[test]
fn garbage_ends_one_session_and_nobody_else_notices() {
    let dom0 = Dom0::start();
    let _work = dom0.daemon(5, "work", "blue");
    let guest = Guest::start(&dom0, 5);
    dom0.wait_until_ready();
    let _terminal = guest.terminal("notes", "echo ready; read line");
    let notes = dom0.wait_for_title("[work] notes");
    let mut daemon = dom0.daemon(6, "untrusted", "red");
    let garbage: [&[u8]; 5] = [
        &[0xff; 64],
        &[150, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
        &[124, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0],
        &[132, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0],
        &[135, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0],
    ];
    for bytes in garbage {
        let mut script = Script::serve(&dom0, 6);
        script.shake_hands();
        dom0.wait_until_ready();
        script.window(1, (300, 300, 50, 50), true);
        dom0.wait_for("its window", |dom0| (dom0.shown().len() == 2).then_some(()));
        script.send(bytes);
        // Its window goes, the other domain's stays.
        dom0.wait_for("its end", |dom0| (dom0.shown().len() == 1).then_some(()));
        assert_eq!(dom0.shown()[0].xid, notes.xid);
        assert!(daemon.is_running());
    }
    assert!(
        dom0.log("untrusted")
            .contains("the agent broke the protocol")
    );
    dom0.wait_for_content(notes.xid, BLUE);
}

#[test]
fn half_a_message_keeps_nothing_waiting() {
    let dom0 = Dom0::start();
    let _daemon = dom0.daemon(6, "untrusted", "red");
    let mut script = Script::serve(&dom0, 6);
    script.shake_hands();
    script.window(1, (100, 100, 300, 200), false);
    let (xid, _) = dom0.wait_for("its window", only);
    dom0.wait_for_focus(xid);
    while script.hear().1 != (FromDaemon::Focus { gained: true }) {}
    let title = FromAgent::WmName(gui_protocol::Title::new(b"x")).to_bytes(WindowId(1));
    script.send(&title[..60]);
    dom0.type_text("a");
    let is_key = |message: &FromDaemon| matches!(message, FromDaemon::Key(press) if press.down);
    while !is_key(&script.hear().1) {}
}

#[test]
fn a_menu_without_any_image_shows_its_whole_frame_wherever_it_is_moved() {
    let dom0 = Dom0::start();
    let daemon = dom0.daemon(6, "untrusted", "red");
    let mut script = Script::serve(&dom0, 6);
    script.shake_hands();
    script.window(1, (500, 300, 200, 100), true);
    let (xid, rect) = dom0.wait_for("the menu", only);
    assert_eq!(rect, Rect::new(496, 296, 208, 108));
    assert_eq!(dom0.frame(rect, RED), [FRAME; 4]);
    // Another client pushes it off the screen.
    let aside = ConfigureWindowAux::new().x(-80).y(750);
    dom0.conn.configure_window(xid, &aside).unwrap();
    dom0.conn.flush().unwrap();
    let back = dom0.wait_for("its return", |dom0| {
        let rect = dom0.look(xid)?.rect;
        Rect::new(0, 0, 1280, 800).contains(rect).then_some(rect)
    });
    assert_eq!(dom0.frame(back, RED), [FRAME; 4]);
    // The frame is there even while the daemon cannot do anything about it.
    let session = daemon.children()[0];
    kill(session, Signal::SIGSTOP).unwrap();
    let smaller = ConfigureWindowAux::new().x(600).y(200).width(90).height(60);
    dom0.conn.configure_window(xid, &smaller).unwrap();
    let now = dom0.look(xid).unwrap().rect;
    assert_eq!(
        (now, dom0.frame(now, RED)),
        (Rect::new(600, 200, 90, 60), [FRAME; 4])
    );
    kill(session, Signal::SIGCONT).unwrap();
}

#[test]
fn a_window_larger_than_the_screen_shows_its_whole_frame_without_a_window_manager() {
    let dom0 = Dom0::without_manager("1280x800");
    let _daemon = dom0.daemon(6, "untrusted", "red");
    let mut script = Script::serve(&dom0, 6);
    script.shake_hands();
    script.window(1, (-4, -4, 1288, 808), false);
    let told = loop {
        if let (WindowId(1), FromDaemon::Configure { rect, .. }) = script.hear() {
            break rect;
        }
    };
    let content = Rect::new(0, 0, 1280, 800).interior();
    assert_eq!(Rect::of_window(told), content);
    let (_, rect) = dom0.wait_for("its window", only);
    assert_eq!(rect, Rect::new(0, 0, 1280, 800));
    assert_eq!(dom0.frame(rect, RED), [FRAME; 4]);
}

#[test]
fn tiny_and_impossible_windows_are_all_frame_and_do_no_harm() {
    let dom0 = Dom0::start();
    let _daemon = dom0.daemon(6, "untrusted", "red");
    let mut script = Script::serve(&dom0, 6);
    script.shake_hands();
    script.window(1, (1276, 700, 4, 4), true);
    let (_, rect) = dom0.wait_for("the tiny one", only);
    assert!(
        dom0.pixels(rect).iter().all(|pixel| *pixel == RED),
        "{rect:?}"
    );
    script.say(1, FromAgent::Destroy);
    script.window(2, (10, 10, 0, 0), false);
    script.window(3, (0, 0, u32::MAX, 60000), false);
    script.settle();
    dom0.wait_for("both", |dom0| (dom0.shown().len() == 2).then_some(()));
}

#[test]
fn a_burst_of_windows_is_capped() {
    let dom0 = Dom0::start();
    let mut daemon = dom0.daemon(6, "untrusted", "red");
    let mut script = Script::serve(&dom0, 6);
    script.shake_hands();
    let most = Limits::default().windows;
    for window in 1..=most as u32 + 100 {
        script.window(window, (window as i32, 100, 1, 1), true);
    }
    script.settle();
    assert_eq!(dom0.shown().len(), most);
    assert!(daemon.is_running());
}
