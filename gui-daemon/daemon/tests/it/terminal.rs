// SPDX-License-Identifier: GPL-3.0-or-later
//! A terminal of a guest on dom0's desktop: seen, typed into, resized, closed.

use std::sync::mpsc;
use std::time::Duration;

use gui_core::{FRAME, Rect};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConfigureWindowAux, ConnectionExt as _};

use crate::dom0::{Dom0, Shown};
use crate::guest::Guest;

const BLUE: u32 = 0x34_65_a4;
const RED: u32 = 0xcc_00_00;
const CONTROL: u32 = 0xffe3;
/// Waits for a key before it ends.
const IDLE: &str = "echo ready; read line";

/// What a terminal's script writes into this pipe arrives here.
fn pipe(dom0: &Dom0) -> (String, mpsc::Receiver<String>) {
    let path = dom0.folder.path().join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (sender, receiver) = mpsc::channel();
    let reader = path.clone();
    std::thread::spawn(move || sender.send(std::fs::read_to_string(reader).unwrap()));
    (path.display().to_string(), receiver)
}

fn gone(dom0: &Dom0, xid: u32) {
    dom0.wait_for("the window to go", |dom0| {
        dom0.look(xid).is_none().then_some(())
    });
}

#[test]
fn a_terminal_is_framed_on_four_sides_and_typing_reaches_its_shell() {
    let dom0 = Dom0::start();
    let _daemon = dom0.daemon(5, "work", "blue");
    let guest = Guest::start(&dom0, 5);
    dom0.wait_until_ready();
    let (path, heard) = pipe(&dom0);
    let script = format!("echo ready; read line; echo \"$line\" > {path}; read line");
    let _terminal = guest.terminal("notes", &script);
    let shown = dom0.wait_for_title("[work] notes");
    let shown = dom0.wait_for_content(shown.xid, BLUE);
    assert_eq!(dom0.property(shown.xid, "_QUBES_VMNAME"), b"work");
    assert_eq!(dom0.property(shown.xid, "_QUBES_LABEL"), [6]);
    assert_eq!(
        dom0.property(shown.xid, "_QUBES_LABEL_COLOR"),
        BLUE.to_le_bytes()
    );
    assert!(
        dom0.property(shown.xid, "WM_CLASS")
            .starts_with(b"work:xterm\0work:XTerm")
    );
    dom0.wait_for_focus(shown.xid);
    dom0.type_text("Hello_World 42!\n");
    let line = heard
        .recv_timeout(Duration::from_secs(60))
        .expect("the line arrives");
    assert_eq!(line, "Hello_World 42!\n");
    dom0.picture("typed.png");
}

#[test]
fn a_menu_has_its_frame_and_follows_the_pointer() {
    let dom0 = Dom0::start();
    let _daemon = dom0.daemon(5, "untrusted", "red");
    let guest = Guest::start(&dom0, 5);
    dom0.wait_until_ready();
    let _terminal = guest.terminal("shell", IDLE);
    let shown = dom0.wait_for_title("[untrusted] shell");
    let shown = dom0.wait_for_content(shown.xid, RED);
    dom0.wait_for_focus(shown.xid);
    dom0.point(shown.rect.x + 40, shown.rect.y + 40);
    dom0.key(true, CONTROL);
    dom0.button(true, 1);
    let menu = dom0.wait_for("a menu", |dom0| {
        dom0.shown().into_iter().find(|menu| menu.xid != shown.xid)
    });
    let menu = dom0.wait_for_content(menu.xid, RED);
    // The entry below the pointer is marked: pixels change inside, never on the frame.
    let entry = Rect::new(menu.rect.x + 20, menu.rect.y + 60, 40, 40);
    let before = dom0.pixels(entry);
    dom0.point(entry.x + 20, entry.y + 20);
    dom0.wait_for("a marked entry", |dom0| {
        (dom0.pixels(entry) != before).then_some(())
    });
    assert_eq!(dom0.frame(menu.rect, RED), [FRAME; 4]);
    dom0.picture("menu.png");
    dom0.button(false, 1);
    dom0.key(false, CONTROL);
    gone(&dom0, menu.xid);
}

fn resize(dom0: &Dom0, shown: &Shown, width: u32, height: u32) {
    let aux = ConfigureWindowAux::new().width(width).height(height);
    dom0.conn.configure_window(shown.xid, &aux).unwrap();
    dom0.conn.flush().unwrap();
}

#[test]
fn a_resized_terminal_fills_its_new_frame_and_closes_when_asked() {
    let dom0 = Dom0::start();
    let _daemon = dom0.daemon(5, "work", "blue");
    let guest = Guest::start(&dom0, 5);
    dom0.wait_until_ready();
    let (path, heard) = pipe(&dom0);
    // The shell says how large it has become, and again when it is closed.
    let script = format!(
        "trap 'stty size > {path}; trap - WINCH' WINCH; echo ready; while :; do read line; done"
    );
    let _terminal = guest.terminal("notes", &script);
    let shown = dom0.wait_for_title("[work] notes");
    let shown = dom0.wait_for_content(shown.xid, BLUE);
    resize(&dom0, &shown, 700, 500);
    let size = heard
        .recv_timeout(Duration::from_secs(60))
        .expect("the shell is told");
    let (rows, columns) = size.trim().split_once(' ').unwrap();
    assert!(
        rows.parse::<u32>().unwrap() > 30 && columns.parse::<u32>().unwrap() > 100,
        "{size}"
    );
    let larger = dom0.wait_for("the new size", |dom0| {
        dom0.look(shown.xid)
            .filter(|now| now.rect.width > shown.rect.width)
    });
    dom0.wait_for_content(larger.xid, BLUE);
    dom0.picture("resized.png");
    dom0.close(shown.xid);
    gone(&dom0, shown.xid);
}

#[test]
fn windows_come_back_when_daemon_or_agent_are_started_again() {
    let dom0 = Dom0::start();
    let daemon = dom0.daemon(5, "work", "blue");
    let mut guest = Guest::start(&dom0, 5);
    dom0.wait_until_ready();
    let _terminal = guest.terminal("notes", IDLE);
    let first = dom0.wait_for_title("[work] notes");
    drop(daemon);
    gone(&dom0, first.xid);
    let _daemon = dom0.daemon(5, "work", "blue");
    dom0.wait_until_ready();
    let second = dom0.wait_for_title("[work] notes");
    dom0.wait_for_content(second.xid, BLUE);
    guest.start_agent();
    gone(&dom0, second.xid);
    dom0.wait_until_ready();
    let third = dom0.wait_for_title("[work] notes");
    dom0.wait_for_content(third.xid, BLUE);
}

#[test]
fn two_domains_stand_side_by_side_each_in_its_colour() {
    let dom0 = Dom0::start();
    let _blue = dom0.daemon(5, "work", "blue");
    let work = Guest::start(&dom0, 5);
    dom0.wait_until_ready();
    let _red = dom0.daemon(6, "untrusted", "red");
    let untrusted = Guest::start(&dom0, 6);
    dom0.wait_until_ready();
    let _one = work.terminal("notes", IDLE);
    let one = dom0.wait_for_title("[work] notes");
    dom0.wait_for_content(one.xid, BLUE);
    let _two = untrusted.terminal("[dom0] login", IDLE);
    let two = dom0.wait_for_title("[untrusted] [dom0] login");
    dom0.wait_for_content(two.xid, RED);
    dom0.picture("two.png");
}
