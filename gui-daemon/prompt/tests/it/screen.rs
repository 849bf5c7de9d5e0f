// SPDX-License-Identifier: GPL-3.0-or-later
//! A user's eyes and hands on an X server.

use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    AtomEnum, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ChangeWindowAttributesAux,
    ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, ImageFormat,
    KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT, MapState, PropMode, Window,
    WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

use crate::picture::Picture;

/// No wait takes this long, unless something is broken.
pub const HANG: Duration = Duration::from_secs(60);

/// A desktop of no label's colour.
const BACKGROUND: u32 = 0x30_34_3c;

pub const ESCAPE: u32 = 0xff1b;
pub const RIGHT: u32 = 0xff53;
pub const SPACE: u32 = 0x20;
pub const TAB: u32 = 0xff09;
pub const SHIFT: u32 = 0xffe1;

/// A screen with a window manager, and a window of the user's that has the keyboard.
pub struct Screen {
    conn: RustConnection,
    root: Window,
    pub editor: Window,
}

/// Where a window is on the screen, without what the window manager puts around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
}

impl Place {
    /// Its middle.
    pub fn middle(self) -> (i32, i32) {
        (self.x + self.width / 2, self.y + self.height / 2)
    }

    /// The same place seen from where `outer` begins.
    pub fn within(self, outer: Self) -> Self {
        Self {
            x: outer.x + self.x,
            y: outer.y + self.y,
            ..self
        }
    }
}

impl Screen {
    pub fn connect(display: &str) -> Self {
        let (conn, screen) = x11rb::connect(Some(display)).unwrap();
        let root = conn.setup().roots[screen].root;
        let background = ChangeWindowAttributesAux::new().background_pixel(BACKGROUND);
        conn.change_window_attributes(root, &background).unwrap();
        conn.clear_area(false, root, 0, 0, 0, 0).unwrap();
        let editor = open_editor(&conn, root);
        let screen = Self { conn, root, editor };
        screen.give_keyboard(editor);
        screen
    }

    /// Looks until `check` finds what it looks for.
    pub fn wait_for<T>(&self, what: &str, check: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + HANG;
        while Instant::now() < deadline {
            if let Some(found) = check(self) {
                return found;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("waited in vain: {what}");
    }

    /// The window whose title begins with `title`, if it is in view.
    pub fn find(&self, title: &str) -> Option<Window> {
        self.search(self.root, title)
    }

    /// Waits for a window with the whole title.
    pub fn wait_for_title(&self, title: &str) -> Window {
        self.wait_for(title, |screen| {
            screen
                .find(title)
                .filter(|found| screen.title(*found) == title)
        })
    }

    /// Waits until no window in view has a title that begins so.
    pub fn wait_for_absence(&self, title: &str) {
        self.wait_for(&format!("no {title}"), |screen| {
            screen.find(title).is_none().then_some(())
        });
    }

    fn search(&self, parent: Window, title: &str) -> Option<Window> {
        let tree = self.conn.query_tree(parent).unwrap().reply().ok()?;
        tree.children.into_iter().find_map(|child| {
            let state = self.conn.get_window_attributes(child).unwrap();
            let state = state.reply().ok()?;
            if state.map_state == MapState::VIEWABLE && self.title(child).starts_with(title) {
                return Some(child);
            }
            self.search(child, title)
        })
    }

    pub fn title(&self, window: Window) -> String {
        let name = self.atom("_NET_WM_NAME");
        let reply = self
            .conn
            .get_property(false, window, name, AtomEnum::ANY, 0, 1024)
            .unwrap()
            .reply();
        reply.map_or_else(
            |_| String::new(),
            |reply| String::from_utf8_lossy(&reply.value).into_owned(),
        )
    }

    fn atom(&self, name: &str) -> u32 {
        let cookie = self.conn.intern_atom(false, name.as_bytes()).unwrap();
        cookie.reply().unwrap().atom
    }

    /// The window that has the keyboard.
    pub fn focus(&self) -> Window {
        self.conn.get_input_focus().unwrap().reply().unwrap().focus
    }

    /// Gives the keyboard to a window, as a user does who wants to type there.
    pub fn give_keyboard(&self, window: Window) {
        let (active, pager) = (self.atom("_NET_ACTIVE_WINDOW"), 2);
        let event = ClientMessageEvent::new(32, window, active, [pager, 0, 0, 0, 0]);
        let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
        self.wait_for("the window has the keyboard", |screen| {
            // The keyboard can be with a window inside.
            let others = [0, 1, screen.root, screen.editor];
            let focus = screen.focus();
            if focus == window || !others.contains(&focus) && window != screen.editor {
                return Some(());
            }
            // A window manager does not know a window at once.
            screen
                .conn
                .send_event(false, screen.root, mask, event)
                .unwrap();
            screen.conn.flush().unwrap();
            std::thread::sleep(Duration::from_millis(50));
            None
        });
    }

    /// Presses and releases a key.
    pub fn press(&self, keysym: u32) {
        self.key(keysym, KEY_PRESS_EVENT);
        self.key(keysym, KEY_RELEASE_EVENT);
    }

    /// Presses and releases a key while another is held.
    pub fn press_with(&self, held: u32, keysym: u32) {
        self.key(held, KEY_PRESS_EVENT);
        self.press(keysym);
        self.key(held, KEY_RELEASE_EVENT);
    }

    /// Types lower-case letters.
    pub fn type_letters(&self, text: &str) {
        text.chars()
            .for_each(|letter| self.press(u32::from(letter)));
    }

    fn key(&self, keysym: u32, kind: u8) {
        let setup = self.conn.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let reply = self.conn.get_keyboard_mapping(first, last - first + 1);
        let map = reply.unwrap().reply().unwrap();
        let wide = usize::from(map.keysyms_per_keycode);
        let place = map
            .keysyms
            .iter()
            .position(|known| *known == keysym)
            .unwrap();
        self.fake(kind, first + u8::try_from(place / wide).unwrap(), (0, 0));
    }

    /// Points at a place and presses the first button there.
    pub fn click(&self, at: (i32, i32)) {
        self.point(at);
        self.button(true);
        self.button(false);
    }

    /// Moves the pointer.
    pub fn point(&self, (x, y): (i32, i32)) {
        let at = (i16::try_from(x).unwrap(), i16::try_from(y).unwrap());
        self.fake(MOTION_NOTIFY_EVENT, 0, at);
    }

    /// Presses or lets go of the first button.
    pub fn button(&self, down: bool) {
        let kind = match down {
            true => BUTTON_PRESS_EVENT,
            false => BUTTON_RELEASE_EVENT,
        };
        self.fake(kind, 1, (0, 0));
    }

    fn fake(&self, kind: u8, detail: u8, (x, y): (i16, i16)) {
        self.conn
            .xtest_fake_input(kind, detail, 0, self.root, x, y, 0)
            .unwrap();
        self.conn.flush().unwrap();
    }

    pub fn place(&self, window: Window) -> Place {
        let size = self.conn.get_geometry(window).unwrap().reply().unwrap();
        let at = self.conn.translate_coordinates(window, self.root, 0, 0);
        let at = at.unwrap().reply().unwrap();
        Place {
            x: at.dst_x.into(),
            y: at.dst_y.into(),
            width: size.width.into(),
            height: size.height.into(),
        }
    }

    /// What is seen of a part of the screen.
    pub fn picture(&self, place: Place) -> Picture {
        let size = self.conn.get_geometry(self.root).unwrap().reply().unwrap();
        let (width, height) = (i32::from(size.width), i32::from(size.height));
        let (left, top) = (place.x.clamp(0, width), place.y.clamp(0, height));
        let right = (place.x + place.width).clamp(left, width);
        let bottom = (place.y + place.height).clamp(top, height);
        let short = |number: i32| i16::try_from(number).unwrap();
        let long = |number: i32| u16::try_from(number).unwrap();
        let image = self.conn.get_image(
            ImageFormat::Z_PIXMAP,
            self.root,
            short(left),
            short(top),
            long(right - left),
            long(bottom - top),
            u32::MAX,
        );
        let image = image.unwrap().reply().unwrap();
        Picture::new(left, top, right - left, image.data)
    }
}

/// A window of the user's, in the corner.
fn open_editor(conn: &RustConnection, root: Window) -> Window {
    let window = conn.generate_id().unwrap();
    let aux = CreateWindowAux::new().event_mask(EventMask::KEY_PRESS);
    conn.create_window(
        0,
        window,
        root,
        0,
        0,
        200,
        100,
        0,
        WindowClass::INPUT_OUTPUT,
        0,
        &aux,
    )
    .unwrap();
    let name = AtomEnum::WM_NAME;
    conn.change_property8(PropMode::REPLACE, window, name, AtomEnum::STRING, b"editor")
        .unwrap();
    conn.map_window(window).unwrap();
    conn.flush().unwrap();
    window
}
