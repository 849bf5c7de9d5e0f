// SPDX-License-Identifier: GPL-3.0-or-later
//! Keys and buttons that are held while the world changes: none stays pressed in a guest.

use std::time::Duration;

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, GrabMode, InputFocus};
use x11rb::rust_connection::RustConnection;

use crate::dom0::{Dom0, Shown};
use crate::guest::Guest;
use crate::xserver::Program;

const BLUE: u32 = 0x34_65_a4;
const SHIFT: u32 = 0xffe1;
const IDLE: &str = "echo ready; read line";

/// A guest with a terminal that has the keyboard.
struct Scene {
    dom0: Dom0,
    daemon: Option<Program>,
    guest: Guest,
    terminal: Option<Program>,
    shown: Shown,
    /// The guest's X server, as a program of the guest sees it.
    inside: RustConnection,
}

impl Scene {
    fn start() -> Self {
        let dom0 = Dom0::start();
        let daemon = Some(dom0.daemon(5, "work", "blue"));
        let guest = Guest::start(&dom0, 5);
        dom0.wait_until_ready();
        let terminal = Some(guest.terminal("notes", IDLE));
        let shown = dom0.wait_for_title("[work] notes");
        let shown = dom0.wait_for_content(shown.xid, BLUE);
        dom0.wait_for_focus(shown.xid);
        let (inside, _) = x11rb::connect(Some(&guest.server.display)).unwrap();
        Self {
            dom0,
            daemon,
            guest,
            terminal,
            shown,
            inside,
        }
    }

    /// Whether anything is pressed in the guest.
    fn is_held(&self) -> bool {
        let root = self.inside.setup().roots[0].root;
        let keys = self.inside.query_keymap().unwrap().reply().unwrap().keys;
        let pointer = self.inside.query_pointer(root).unwrap().reply().unwrap();
        keys.iter().any(|byte| *byte != 0) || u16::from(pointer.mask) != 0
    }

    /// Waits until something, or nothing, is pressed in the guest.
    fn wait_until_held(&self, held: bool) {
        for _ in 0..6000 {
            if self.is_held() == held {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("waited in vain for held: {held}");
    }

    /// Holds a key and a button over the terminal.
    fn hold(&self) {
        self.dom0
            .point(self.shown.rect.x + 40, self.shown.rect.y + 40);
        self.dom0.key(true, SHIFT);
        self.wait_until_held(true);
    }
}

#[test]
fn a_key_held_while_the_keyboard_goes_to_another_window_is_released() {
    let scene = Scene::start();
    scene.hold();
    let now = x11rb::CURRENT_TIME;
    let conn = &scene.dom0.conn;
    conn.set_input_focus(InputFocus::PARENT, scene.dom0.root, now)
        .unwrap();
    conn.flush().unwrap();
    scene.wait_until_held(false);
    scene.dom0.key(false, SHIFT);
}

#[test]
fn a_key_released_while_a_window_manager_switches_windows_is_released() {
    let scene = Scene::start();
    scene.hold();
    let conn = &scene.dom0.conn;
    let mode = GrabMode::ASYNC;
    conn.grab_keyboard(false, scene.dom0.root, x11rb::CURRENT_TIME, mode, mode)
        .unwrap()
        .reply()
        .unwrap();
    scene.dom0.key(false, SHIFT);
    conn.ungrab_keyboard(x11rb::CURRENT_TIME).unwrap();
    conn.flush().unwrap();
    scene.wait_until_held(false);
}

#[test]
fn a_key_and_a_button_held_while_their_window_closes_are_released() {
    let mut scene = Scene::start();
    scene.hold();
    scene.dom0.button(true, 1);
    scene.terminal = None;
    scene.wait_until_held(false);
    scene.dom0.button(false, 1);
    scene.dom0.key(false, SHIFT);
}

#[test]
fn a_key_held_while_the_daemon_ends_is_released() {
    let mut scene = Scene::start();
    scene.hold();
    scene.daemon = None;
    scene.wait_until_held(false);
}

#[test]
fn a_key_held_while_the_agent_is_killed_is_released_by_the_next_one() {
    let mut scene = Scene::start();
    scene.hold();
    scene.guest.start_agent();
    scene.wait_until_held(false);
}
