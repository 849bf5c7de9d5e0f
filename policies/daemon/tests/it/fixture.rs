// SPDX-License-Identifier: GPL-3.0-or-later
//! A real `policyd` below a root of its own, with a domain manager played by the test.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bulkhead_types::Layout;
use policy_ledger::{Decision, Entry, Event, entries, snapshot};
use policyd::Status;
use policyd::control::{Answer, Request};

/// How long a test waits for something that has to happen before it fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub const SYSTEM: &str = r#"{"domains": {
    "dom0": {"type": "AdminVM", "uuid": "00000000-0000-0000-0000-000000000000", "power_state": "Running"},
    "work": {"type": "AppVM", "uuid": "11111111-1111-4111-8111-111111111111", "power_state": "Running",
             "default_dispvm": "disp-base", "guivm": "dom0"},
    "vault": {"type": "AppVM", "uuid": "22222222-2222-4222-8222-222222222222", "power_state": "Halted"},
    "disp-base": {"type": "AppVM", "uuid": "33333333-3333-4333-8333-333333333333",
                  "power_state": "Halted", "template_for_dispvms": true}
}}"#;

pub struct Machine {
    root: tempfile::TempDir,
    notifications: UnixDatagram,
    manager: UnixListener,
    watches: Vec<UnixStream>,
    child: Option<Child>,
}

impl Machine {
    /// A root with an empty policy directory; nothing runs yet.
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::below(root.path());
        fs::create_dir_all(&layout.policy_dirs()[1]).unwrap();
        fs::create_dir_all(layout.runtime()).unwrap();
        let notifications = UnixDatagram::bind(root.path().join("notify")).unwrap();
        notifications.set_read_timeout(Some(PATIENCE)).unwrap();
        let manager = UnixListener::bind(layout.internal_socket()).unwrap();
        Self {
            root,
            notifications,
            manager,
            watches: Vec::new(),
            child: None,
        }
    }

    pub fn layout(&self) -> Layout {
        Layout::below(self.root.path())
    }

    pub fn policy_file(&self, name: &str) -> PathBuf {
        self.layout().policy_dirs()[1].join(name)
    }

    /// Puts a policy file into place as an editor does: written aside, then renamed.
    pub fn install(&self, name: &str, text: &str) {
        let aside = self.root.path().join("aside");
        fs::write(&aside, text).unwrap();
        fs::rename(aside, self.policy_file(name)).unwrap();
    }

    pub fn start(&mut self) {
        let child = Command::new(env!("CARGO_BIN_EXE_policyd"))
            .env(Layout::ROOT_VARIABLE, self.root.path())
            .env("NOTIFY_SOCKET", self.root.path().join("notify"))
            .stderr(
                fs::File::options()
                    .create(true)
                    .append(true)
                    .open(self.log())
                    .unwrap(),
            )
            .spawn()
            .unwrap();
        self.child = Some(child);
        self.await_notification("READY=1");
    }

    fn log(&self) -> PathBuf {
        self.root.path().join("log")
    }

    pub fn logged(&self) -> String {
        fs::read_to_string(self.log()).unwrap()
    }

    /// Waits until the daemon tells its service manager something that holds `text`.
    pub fn await_notification(&self, text: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let n = self.notifications.recv(&mut buffer);
            let n = n.unwrap_or_else(|e| panic!("no {text:?}: {e}\n{}", self.logged()));
            let said = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if said.contains(text) {
                return said;
            }
        }
    }

    /// The domain manager takes the daemon's watch and tells of the domains.
    pub fn manager_answers(&mut self, system: &str) {
        let (mut watch, _) = self.manager.accept().unwrap();
        let mut request = Vec::new();
        watch.read_to_end(&mut request).unwrap();
        assert_eq!(request, b"internal.WatchSystemInfo dom0 name dom0\0");
        watch.write_all(b"0\0").unwrap();
        self.watches.push(watch);
        self.manager_says(system);
    }

    /// The domain manager tells of a change; returns when the daemon has taken it.
    pub fn manager_says(&mut self, system: &str) {
        let line = format!("{}\n", system.replace('\n', " "));
        self.watches
            .last_mut()
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
        let domains = system.matches("\"type\"").count();
        self.await_notification(&format!("; {domains} domains"));
    }

    pub fn manager_dies(&mut self) {
        self.watches.clear();
        self.await_notification("no domain manager");
    }

    /// Connects to the policy socket and sends bytes.
    pub fn connect(&self, bytes: &[u8]) -> UnixStream {
        let mut stream = UnixStream::connect(self.layout().policy_socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        stream
    }

    pub fn send(&self, bytes: &[u8]) -> String {
        let stream = self.connect(bytes);
        stream.shutdown(Shutdown::Write).unwrap();
        read(stream)
    }

    pub fn ask(&self, source: &str, target: &str, service: &str) -> String {
        self.send(&question(source, target, service))
    }

    /// All that the ledger holds.
    pub fn ledger(&self) -> Vec<Entry> {
        let mut all = Vec::new();
        entries(&snapshot(&self.layout().ledger()).unwrap(), |entry| {
            all.push(entry);
            true
        })
        .unwrap();
        all
    }

    /// The decisions in the ledger.
    pub fn records(&self) -> Vec<Decision> {
        let events = self.ledger().into_iter().map(|entry| entry.event);
        events
            .filter_map(|event| match event {
                Event::Decision(decision) => Some(decision),
                _ => None,
            })
            .collect()
    }

    pub fn status(&self) -> Status {
        let stream = UnixStream::connect(policyd::status_socket(&self.layout())).unwrap();
        serde_json::from_str(&read(stream)).unwrap()
    }

    /// Asks as an administrator.
    pub fn control(&self, request: &Request) -> Answer {
        let mut stream = self.control_line(request);
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// A request to the control socket, and the answers to it.
    pub fn control_line(&self, request: &Request) -> BufReader<UnixStream> {
        let mut stream = UnixStream::connect(self.layout().policy_control_socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = serde_json::to_vec(request).unwrap();
        line.push(b'\n');
        stream.write_all(&line).unwrap();
        BufReader::new(stream)
    }

    /// A qrexec daemon's line for reports on a domain's calls.
    pub fn reporter(&self, source: &str) -> BufReader<UnixStream> {
        let mut stream = UnixStream::connect(self.layout().policy_calls_socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(format!("source {source}\n").as_bytes())
            .unwrap();
        BufReader::new(stream)
    }

    /// A program of dom0 that makes a call.
    pub fn own_call(&self, line: &str) -> UnixStream {
        let mut stream = UnixStream::connect(self.layout().policy_calls_socket()).unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        stream
    }

    /// Tells how a call ended, as a qrexec daemon does.
    pub fn report_end(&self, source: &str, call: u64, how: &str) {
        let report = format!(
            "record={call}\nsource={source}\npolicy_us=50\nend_us=900000\nsent=10\nhow={how}\n\n"
        );
        assert_eq!(self.send(report.as_bytes()), "");
    }

    /// Waits until the ledger holds a record that is wanted.
    pub fn await_record(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        let begin = std::time::Instant::now();
        loop {
            let found = self
                .ledger()
                .into_iter()
                .map(|entry| entry.event)
                .find(&wanted);
            if let Some(found) = found {
                return found;
            }
            assert!(begin.elapsed() < PATIENCE, "{:?}", self.ledger());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Text without what differs from run to run.
    pub fn without_root(&self, text: &str) -> String {
        text.replace(&*self.root.path().to_string_lossy(), "ROOT")
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    /// Ends the daemon as a service manager does.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let kill = Command::new("kill")
            .arg(child.id().to_string())
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(kill.success());
        child.wait().unwrap().code()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn question(source: &str, target: &str, service: &str) -> Vec<u8> {
    format!("source={source}\nintended_target={target}\nservice_and_arg={service}\n\n").into_bytes()
}

/// The number of the call in an answer that allows it.
pub fn call_of(answer: &str) -> u64 {
    let line = answer.lines().find_map(|line| line.strip_prefix("record="));
    line.unwrap_or_else(|| panic!("not allowed: {answer}"))
        .parse()
        .unwrap()
}

pub fn read(mut stream: UnixStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
