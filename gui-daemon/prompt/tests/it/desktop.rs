// SPDX-License-Identifier: GPL-3.0-or-later
//! A desktop with the prompt, which is asked as the policy daemon asks.

use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Deref;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use policy_agent_protocol::{Ask, Notify, Request};

use crate::screen::{HANG, Screen};

/// The screen's size.
pub const SIZE: (i32, i32) = (1000, 800);

/// Nobody answers there.
pub const NO_BUS: &str = "unix:path=/nonexistent";

/// A program that is killed when it goes out of scope.
pub struct Program(Child);

impl Program {
    pub fn start(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Starts a program and waits for the line by which it says that it is ready.
    pub fn start_ready(command: &mut Command) -> (Self, String) {
        let mut program = Self::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let output = program.0.stdout.take().unwrap();
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{command:?} has ended");
        (program, line.trim().to_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Desktop {
    prompt: Program,
    display: String,
    _manager: Program,
    _server: Program,
    folder: tempfile::TempDir,
    screen: Screen,
}

impl Desktop {
    /// A desktop whose prompt waits for `patience` seconds.
    pub fn start(patience: u64) -> Self {
        Self::with_bus(patience, NO_BUS)
    }

    /// The same, with this message bus in the session.
    pub fn with_bus(patience: u64, bus: &str) -> Self {
        Self::starting(&["--patience", &patience.to_string()], bus)
    }

    /// A desktop whose prompt is started again when it crashes.
    pub fn of_entry() -> Self {
        Self::starting(&["--again"], NO_BUS)
    }

    fn starting(words: &[&str], bus: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (server, number) = Program::start_ready(Command::new("Xvfb").args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            &format!("{}x{}x24", SIZE.0, SIZE.1),
            "-nolisten",
            "tcp",
            "-noreset",
        ]));
        let display = format!(":{number}");
        let (manager, _) = Program::start_ready(
            Command::new("openbox")
                .args(["--sm-disable", "--startup", "echo ready"])
                .env("DISPLAY", &display),
        );
        let screen = Screen::connect(&display);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let prompt = Program::start(prompt(folder.path(), &display, bus).args(words).stderr(log));
        let desktop = Self {
            prompt,
            display,
            _manager: manager,
            _server: server,
            folder,
            screen,
        };
        // The socket is there a moment before anybody listens.
        desktop.wait_for("the prompt listens", |_| desktop.listens().then_some(()));
        desktop
    }

    /// Whether there is a prompt to ask.
    pub fn listens(&self) -> bool {
        UnixStream::connect(self.folder.path().join("agent.sock")).is_ok()
    }

    /// The process that the prompt's own has started, if it has.
    pub fn prompt_child(&self) -> Option<String> {
        let own = self.prompt.0.id().to_string();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        let mut numbers = processes.filter_map(|entry| entry.file_name().into_string().ok());
        numbers.find(|number| {
            let state = std::fs::read_to_string(format!("/proc/{number}/stat"));
            let state = state.unwrap_or_default();
            let behind_name = state.rsplit(") ").next().unwrap_or_default();
            let mut words = behind_name.split(' ');
            words.next() != Some("Z") && words.next() == Some(own.as_str())
        })
    }

    /// What a second prompt says before it ends.
    pub fn second_prompt(&self) -> String {
        let mut second = prompt(self.folder.path(), &self.display, NO_BUS);
        let ended = second.arg("--again").output().unwrap();
        assert_eq!(ended.status.code(), Some(1));
        String::from_utf8(ended.stderr).unwrap()
    }

    /// Puts a question, as the policy daemon does.
    pub fn ask(&self, ask: &Ask) -> UnixStream {
        self.send(&Request::Ask(Box::new(ask.clone())).encode())
    }

    /// Tells something, as the policy daemon does.
    pub fn tell(&self, notice: &Notify) {
        let told = answer(self.send(&Request::Notify(notice.clone()).encode()));
        assert_eq!(told, "");
    }

    pub fn send(&self, bytes: &[u8]) -> UnixStream {
        let mut stream = UnixStream::connect(self.folder.path().join("agent.sock")).unwrap();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream
    }
}

impl Deref for Desktop {
    type Target = Screen;

    fn deref(&self) -> &Screen {
        &self.screen
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.folder.path().join("log"));
            eprintln!("the prompt said: {}", log.unwrap_or_default());
        }
    }
}

/// A prompt that listens in a folder.
fn prompt(folder: &Path, display: &str, bus: &str) -> Command {
    let mut prompt = Command::new(env!("CARGO_BIN_EXE_bulkhead-prompt"));
    prompt
        .arg("--socket")
        .arg(folder.join("agent.sock"))
        .env("DISPLAY", display)
        .env("BULKHEAD_ROOT", folder)
        .env("DBUS_SESSION_BUS_ADDRESS", bus)
        .env("GDK_BACKEND", "x11")
        .env("GSK_RENDERER", "cairo");
    prompt
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
