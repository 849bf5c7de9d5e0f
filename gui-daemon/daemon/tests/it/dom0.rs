// SPDX-License-Identifier: GPL-3.0-or-later
//! Dom0's desktop: an X server with a window manager, daemons, a user's hands and eyes.

use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use gui_core::{FRAME, Rect};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use x11rb::connection::{Connection, RequestConnection};
use x11rb::protocol::damage::{ConnectionExt as _, ReportLevel};
use x11rb::protocol::xproto::{
    self, AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, EventMask, ImageFormat,
    MapState, Window,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

use crate::xserver::{Program, XServer};

/// No wait takes this long, unless something is broken.
const HANG: Duration = Duration::from_secs(60);

pub struct Dom0 {
    pub folder: tempfile::TempDir,
    pub conn: RustConnection,
    pub root: Window,
    notify: UnixDatagram,
    pub server: XServer,
    _manager: Option<Program>,
}

/// A surface on the desktop.
#[derive(Clone, Debug)]
pub struct Shown {
    pub xid: Window,
    pub title: String,
    pub rect: Rect,
}

impl Dom0 {
    pub fn start() -> Self {
        Self::with_screen("1280x800")
    }

    pub fn with_screen(size: &str) -> Self {
        let mut dom0 = Self::without_manager(size);
        // Its startup command runs when it listens. It has set its properties before, and
        // forgets windows that are mapped in between.
        let (manager, _) = Program::start_ready(
            Command::new("openbox")
                .args(["--sm-disable", "--startup", "echo ready"])
                .env("DISPLAY", &dom0.server.display),
        );
        dom0._manager = Some(manager);
        dom0
    }

    /// A desktop on which nobody places windows.
    pub fn without_manager(size: &str) -> Self {
        let server = XServer::start(size);
        // Where channels meet is in memory, as below /run.
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::create_dir(folder.path().join("vchan")).unwrap();
        let (conn, screen) = x11rb::connect(Some(&server.display)).unwrap();
        let root = conn.setup().roots[screen].root;
        let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::PROPERTY_CHANGE;
        let aux = ChangeWindowAttributesAux::new().event_mask(mask);
        conn.change_window_attributes(root, &aux).unwrap();
        conn.extension_information(x11rb::protocol::damage::X11_EXTENSION_NAME)
            .unwrap();
        conn.damage_query_version(1, 1).unwrap().reply().unwrap();
        let damage = conn.generate_id().unwrap();
        conn.damage_create(damage, root, ReportLevel::RAW_RECTANGLES)
            .unwrap();
        let notify = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        notify.set_read_timeout(Some(HANG)).unwrap();
        Self {
            folder,
            conn,
            root,
            notify,
            server,
            _manager: None,
        }
    }

    pub fn vchans(&self) -> PathBuf {
        self.folder.path().join("vchan")
    }

    pub fn daemon(&self, domid: u32, name: &str, label: &str) -> Program {
        let log = std::fs::File::create(self.folder.path().join(format!("{name}.log"))).unwrap();
        Program::start(
            Command::new(env!("CARGO_BIN_EXE_gui-daemon"))
                .args([
                    "--domid",
                    &domid.to_string(),
                    "--name",
                    name,
                    "--label",
                    label,
                ])
                .args(["--display", &self.server.display])
                .env(
                    "BULKHEAD_VCHAN",
                    format!("local:{}", self.vchans().display()),
                )
                .env("NOTIFY_SOCKET", self.folder.path().join("notify"))
                .stderr(log),
        )
    }

    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap()
    }

    /// Waits until a daemon says that its agent is connected.
    pub fn wait_until_ready(&self) {
        let mut buffer = [0; 64];
        let length = self
            .notify
            .recv(&mut buffer)
            .expect("a daemon becomes ready");
        assert!(buffer[..length].starts_with(b"READY=1"));
    }

    /// Waits for what the X server reports until `check` finds what it looks for.
    pub fn wait_for<T>(&self, what: &str, mut check: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + HANG;
        loop {
            if let Some(found) = check(self) {
                return found;
            }
            self.conn.flush().unwrap();
            // Anything that happened while looking is a reason to look again.
            if self.conn.poll_for_event().unwrap().is_some() {
                while self.conn.poll_for_event().unwrap().is_some() {}
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(self.conn.stream().as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::try_from(left).unwrap()).unwrap();
            if left.is_zero() {
                let logs = std::fs::read_dir(self.folder.path()).unwrap();
                let logs = logs.map(|entry| entry.unwrap().path());
                for log in logs.filter(|path| path.extension().is_some_and(|e| e == "log")) {
                    eprintln!(
                        "{}:\n{}",
                        log.display(),
                        std::fs::read_to_string(&log).unwrap()
                    );
                }
                panic!("waited in vain for {what}; there is {:#?}", self.shown());
            }
        }
    }

    fn atom(&self, name: &str) -> u32 {
        self.conn
            .intern_atom(false, name.as_bytes())
            .unwrap()
            .reply()
            .unwrap()
            .atom
    }

    pub fn property(&self, window: Window, name: &str) -> Vec<u8> {
        let (name, any) = (self.atom(name), AtomEnum::ANY);
        let reply = self
            .conn
            .get_property(false, window, name, any, 0, 1024)
            .unwrap()
            .reply();
        reply.map_or_else(|_| Vec::new(), |reply| reply.value)
    }

    /// Every surface that a daemon shows, on top last.
    pub fn shown(&self) -> Vec<Shown> {
        let mut found = Vec::new();
        self.search(self.root, 2, &mut found);
        found
    }

    fn search(&self, parent: Window, depth: u32, found: &mut Vec<Shown>) {
        let Ok(tree) = self.conn.query_tree(parent).unwrap().reply() else {
            return;
        };
        for xid in tree.children {
            if self.property(xid, "_QUBES_VMNAME").is_empty() {
                if depth > 1 {
                    self.search(xid, depth - 1, found);
                }
            } else if let Some(shown) = self.look(xid) {
                // Its title may change.
                let aux = ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE);
                self.conn.change_window_attributes(xid, &aux).unwrap();
                found.push(shown);
            }
        }
    }

    /// One surface as it is now; `None` if it is not shown.
    pub fn look(&self, xid: Window) -> Option<Shown> {
        let attributes = self.conn.get_window_attributes(xid).unwrap().reply().ok()?;
        let size = self.conn.get_geometry(xid).unwrap().reply().ok()?;
        let place = self
            .conn
            .translate_coordinates(xid, self.root, 0, 0)
            .unwrap()
            .reply()
            .ok()?;
        (attributes.map_state == MapState::VIEWABLE).then(|| Shown {
            xid,
            title: String::from_utf8(self.property(xid, "_NET_WM_NAME")).unwrap(),
            rect: Rect::new(
                place.dst_x.into(),
                place.dst_y.into(),
                size.width.into(),
                size.height.into(),
            ),
        })
    }

    /// Waits for a surface with this title.
    pub fn wait_for_title(&self, title: &str) -> Shown {
        let of_title = |dom0: &Self| dom0.shown().into_iter().find(|shown| shown.title == title);
        self.wait_for(title, of_title)
    }

    /// The pixels of a part of the screen, row by row, as 0xRRGGBB.
    pub fn pixels(&self, rect: Rect) -> Vec<u32> {
        let (x, y) = (rect.x as i16, rect.y as i16);
        let (width, height) = (rect.width as u16, rect.height as u16);
        let image = self
            .conn
            .get_image(ImageFormat::Z_PIXMAP, self.root, x, y, width, height, !0)
            .unwrap();
        let bytes = image.reply().unwrap().data;
        let words = bytes
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        words.map(|pixel| pixel & 0x00ff_ffff).collect()
    }

    /// How many pixels on each side, upper, lower, left, right, are all of one colour.
    pub fn frame(&self, rect: Rect, color: u32) -> [i32; 4] {
        let pixels = self.pixels(rect);
        let at = |x: i32, y: i32| pixels[(y * rect.width + x) as usize];
        let row = |y: i32| (0..rect.width).all(|x| at(x, y) == color);
        let column = |x: i32| (0..rect.height).all(|y| at(x, y) == color);
        let count = |sides: &mut dyn Iterator<Item = bool>| {
            sides.take_while(|colored| *colored).count() as i32
        };
        [
            count(&mut (0..rect.height).map(row)),
            count(&mut (0..rect.height).rev().map(row)),
            count(&mut (0..rect.width).map(column)),
            count(&mut (0..rect.width).rev().map(column)),
        ]
    }

    /// Waits until a surface shows something else than one colour inside its frame, and
    /// exactly its frame around that.
    pub fn wait_for_content(&self, xid: Window, color: u32) -> Shown {
        self.wait_for("content in its frame", |dom0| {
            let shown = dom0.look(xid)?;
            (dom0.frame(shown.rect, color) == [FRAME; 4]).then_some(shown)
        })
    }

    pub fn point(&self, x: i32, y: i32) {
        let (kind, now) = (xproto::MOTION_NOTIFY_EVENT, x11rb::CURRENT_TIME);
        let (x, y) = (x as i16, y as i16);
        self.conn
            .xtest_fake_input(kind, 0, now, self.root, x, y, 0)
            .unwrap();
        self.conn.flush().unwrap();
    }

    pub fn button(&self, down: bool, button: u8) {
        let kind = if down {
            xproto::BUTTON_PRESS_EVENT
        } else {
            xproto::BUTTON_RELEASE_EVENT
        };
        self.fake(kind, button);
    }

    pub fn key(&self, down: bool, keysym: u32) {
        let kind = if down {
            xproto::KEY_PRESS_EVENT
        } else {
            xproto::KEY_RELEASE_EVENT
        };
        self.fake(kind, self.keycode(keysym).0);
    }

    fn fake(&self, kind: u8, detail: u8) {
        let now = x11rb::CURRENT_TIME;
        self.conn
            .xtest_fake_input(kind, detail, now, x11rb::NONE, 0, 0, 0)
            .unwrap();
        self.conn.flush().unwrap();
    }

    fn keycode(&self, keysym: u32) -> (u8, bool) {
        let (first, last) = (self.conn.setup().min_keycode, self.conn.setup().max_keycode);
        let map = self
            .conn
            .get_keyboard_mapping(first, last - first + 1)
            .unwrap()
            .reply()
            .unwrap();
        let per_key = usize::from(map.keysyms_per_keycode);
        let at = map
            .keysyms
            .iter()
            .position(|sym| *sym == keysym)
            .expect("the key exists");
        (first + (at / per_key) as u8, at % per_key == 1)
    }

    /// Types ASCII, and Return for a newline.
    pub fn type_text(&self, text: &str) {
        const SHIFT: u32 = 0xffe1;
        for character in text.chars() {
            let keysym = if character == '\n' {
                0xff0d
            } else {
                character.into()
            };
            let (_, shifted) = self.keycode(keysym);
            if shifted {
                self.key(true, SHIFT);
            }
            self.key(true, keysym);
            self.key(false, keysym);
            if shifted {
                self.key(false, SHIFT);
            }
        }
    }

    /// Waits until a surface has the keyboard.
    pub fn wait_for_focus(&self, xid: Window) {
        self.wait_for("the keyboard", |dom0| {
            let focus = dom0.conn.get_input_focus().unwrap().reply().unwrap().focus;
            (focus == xid).then_some(())
        });
    }

    /// Clicks a title bar's close button, as the window manager reports it.
    pub fn close(&self, xid: Window) {
        let data = [self.atom("WM_DELETE_WINDOW"), x11rb::CURRENT_TIME, 0, 0, 0];
        let protocols = self.atom("WM_PROTOCOLS");
        let message = xproto::ClientMessageEvent::new(32, xid, protocols, data);
        self.conn
            .send_event(false, xid, EventMask::NO_EVENT, message)
            .unwrap();
        self.conn.flush().unwrap();
    }

    /// Saves what the user sees, where the environment asks for it.
    pub fn picture(&self, name: &str) {
        if let Some(folder) = std::env::var_os("BULKHEAD_TEST_PICTURES") {
            let file = Path::new(&folder).join(name);
            let display = &self.server.display;
            let mut import = Command::new("import");
            let done = import
                .args(["-display", display, "-window", "root"])
                .arg(&file)
                .status();
            assert!(done.unwrap().success());
        }
    }
}
