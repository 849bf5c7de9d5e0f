// SPDX-License-Identifier: GPL-3.0-or-later
//! A desktop with a window that has the keyboard, the prompt, and a user's hands.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use policy_agent_protocol::{Ask, Request};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    AtomEnum, ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, KEY_PRESS_EVENT,
    KEY_RELEASE_EVENT, MapState, PropMode, Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// No wait takes this long, unless something is broken.
const HANG: Duration = Duration::from_secs(20);

pub const ESCAPE: u32 = 0xff1b;

/// A program that is killed when it goes out of scope.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Starts a program and waits for the line by which it says that it is ready.
    fn start_ready(command: &mut Command) -> (Self, String) {
        let mut program = Self::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let output = program.0.stdout.take().unwrap();
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{command:?} has ended");
        (program, line)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Desktop {
    _prompt: Program,
    _manager: Program,
    _server: Program,
    folder: tempfile::TempDir,
    conn: RustConnection,
    root: Window,
    /// A window of the user's that has the keyboard.
    pub editor: Window,
}

impl Desktop {
    /// A desktop whose prompt waits for `patience` seconds.
    pub fn start(patience: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (server, number) = Program::start_ready(Command::new("Xvfb").args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            "1000x800x24",
            "-nolisten",
            "tcp",
            "-noreset",
        ]));
        let display = format!(":{}", number.trim());
        let (manager, _) = Program::start_ready(
            Command::new("openbox")
                .args(["--sm-disable", "--startup", "echo ready"])
                .env("DISPLAY", &display),
        );
        let (conn, screen) = x11rb::connect(Some(&display)).unwrap();
        let root = conn.setup().roots[screen].root;
        let editor = open_editor(&conn, root);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let prompt = Program::start(
            Command::new(env!("CARGO_BIN_EXE_bulkhead-prompt"))
                .arg("--socket")
                .arg(folder.path().join("agent.sock"))
                .args(["--patience", &patience.to_string()])
                .env("DISPLAY", &display)
                .env("BULKHEAD_ROOT", folder.path())
                .env("GDK_BACKEND", "x11")
                .env("GSK_RENDERER", "cairo")
                .stderr(log),
        );
        let desktop = Self {
            _prompt: prompt,
            _manager: manager,
            _server: server,
            folder,
            conn,
            root,
            editor,
        };
        desktop.give_keyboard(editor);
        // The socket is there a moment before anybody listens.
        let socket = desktop.folder.path().join("agent.sock");
        desktop.wait_for("the prompt listens", |_| UnixStream::connect(&socket).ok());
        desktop
    }

    /// Puts a question, as the policy daemon does.
    pub fn ask(&self, ask: &Ask) -> UnixStream {
        self.send(&Request::Ask(Box::new(ask.clone())).encode())
    }

    pub fn send(&self, bytes: &[u8]) -> UnixStream {
        let mut stream = UnixStream::connect(self.folder.path().join("agent.sock")).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream
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
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
        panic!("waited in vain: {what}\n{log}");
    }

    /// The window whose title begins with `title`, if it is in view.
    pub fn find(&self, title: &str) -> Option<Window> {
        self.search(self.root, title)
    }

    /// Waits for a window with the whole title.
    pub fn wait_for_title(&self, title: &str) -> Window {
        self.wait_for(title, |desktop| {
            desktop
                .find(title)
                .filter(|found| desktop.title(*found) == title)
        })
    }

    fn search(&self, parent: Window, title: &str) -> Option<Window> {
        let tree = self.conn.query_tree(parent).unwrap().reply().ok()?;
        tree.children.into_iter().find_map(|child| {
            let state = self
                .conn
                .get_window_attributes(child)
                .unwrap()
                .reply()
                .ok()?;
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
        self.wait_for("the window has the keyboard", |desktop| {
            // The keyboard can be with a window inside.
            let others = [0, 1, desktop.root, desktop.editor];
            let focus = desktop.focus();
            if focus == window || !others.contains(&focus) && window != desktop.editor {
                return Some(());
            }
            // A window manager does not know a window at once.
            desktop
                .conn
                .send_event(false, desktop.root, mask, event)
                .unwrap();
            desktop.conn.flush().unwrap();
            std::thread::sleep(Duration::from_millis(50));
            None
        });
    }

    /// Presses and releases a key.
    pub fn press(&self, keysym: u32) {
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
        let code = first + u8::try_from(place / wide).unwrap();
        for kind in [KEY_PRESS_EVENT, KEY_RELEASE_EVENT] {
            self.conn
                .xtest_fake_input(kind, code, 0, self.root, 0, 0, 0)
                .unwrap();
        }
        self.conn.flush().unwrap();
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

/// What was answered.
pub fn answer(mut stream: UnixStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Whether there is no answer yet.
pub fn waits(stream: &UnixStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let read = (&*stream).read(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}
