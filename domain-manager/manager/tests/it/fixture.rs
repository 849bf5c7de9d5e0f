// SPDX-License-Identifier: GPL-3.0-or-later
//! One installation in a folder of its own, and the manager's process that serves it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bulkhead_admin::{Destination, DomainSummary, Reply, Request};
use bulkhead_types::{DomainName, Layout};
use bulkheadd::daemon;
use bulkheadd::settings::Settings;
use bulkheadd::step::Step;
use bulkheadd::store::Store;
use bulkheadd::work::{Nature, Parts};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::fake::FakeMachine;

/// A failed request, in the way the tests look at it.
pub type Refused = (String, String);

pub struct Fixture {
    pub dir: tempfile::TempDir,
    process: Option<Child>,
}

/// The manager's process: everything real but the machine.
pub fn serve() {
    let root = PathBuf::from(std::env::var_os(Layout::ROOT_VARIABLE).unwrap());
    let layout = Layout::below(&root);
    let settings = Settings::read(&layout, Path::new("/")).unwrap();
    for dir in [layout.state(), layout.runtime()] {
        fs::create_dir_all(dir).unwrap();
    }
    let parts = Parts {
        store: Store::open(&layout.database()).unwrap(),
        settings,
        host: FakeMachine::at(&root.join("machine")),
        nature: Nature::real(),
        die_at: Step::to_die_at(),
        layout,
    };
    daemon::run(parts).unwrap();
}

impl Fixture {
    /// An installation whose manager serves.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("bulkheadd")
            .tempdir()
            .unwrap();
        let mut fixture = Self { dir, process: None };
        let machine = FakeMachine::at(&fixture.machine());
        drop(machine);
        let program = fixture.machine().join("programs/qrexec-daemon");
        let own = std::env::current_exe().unwrap();
        let script = format!(
            "#!/bin/sh\nFAKE_ARGUMENTS=\"$*\" exec {} --ignored --exact qrexec_daemon_process --nocapture\n",
            own.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let settings = format!(
            "backend = 'local'\n[defaults]\nqrexec_timeout = 20\n[programs]\ndirectory = '{}'\n",
            fixture.machine().join("programs").display()
        );
        fs::create_dir_all(fixture.layout().configuration()).unwrap();
        fs::write(fixture.layout().settings_file(), settings).unwrap();
        fixture.start_manager(None);
        fixture
    }

    /// One that has a template `debian`, domains `work` and `base`, which serves disposables.
    pub fn with_domains() -> Self {
        let fixture = Self::new();
        fixture.create("TemplateVM", "debian");
        fixture.create("AppVM+debian", "work");
        fixture.create("AppVM+debian", "base");
        fixture.ok("admin.vm.property.Set+template_for_dispvms", "base", "True");
        fixture.ok("admin.property.Set+default_dispvm", "dom0", "base");
        fixture
    }

    pub fn layout(&self) -> Layout {
        Layout::below(self.dir.path())
    }

    pub fn machine(&self) -> PathBuf {
        self.dir.path().join("machine")
    }

    pub fn behave(&self, domain: &str, how: &str) {
        fs::write(self.machine().join("behave").join(domain), how).unwrap();
    }

    /// Starts the manager and waits until it serves, or has died at a step.
    pub fn start_manager(&mut self, die_at: Option<Step>) {
        let notify = self.dir.path().join("ready");
        let _ = fs::remove_file(&notify);
        let socket = UnixDatagram::bind(&notify).unwrap();
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join("log"))
            .unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "manager_process", "--nocapture"])
            .env(Layout::ROOT_VARIABLE, self.dir.path())
            .env("NOTIFY_SOCKET", &notify)
            .env_remove(Step::VARIABLE)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        if let Some(step) = die_at {
            command.env(Step::VARIABLE, step.name());
        }
        self.process = Some(command.spawn().unwrap());
        let mut buffer = [0; 64];
        // A manager that never gets ready is a failure that the runner's limit ends.
        socket.recv(&mut buffer).unwrap();
    }

    /// Kills the manager as a crash would.
    pub fn kill_manager(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Ends the manager as the system does.
    pub fn end_manager(&mut self) {
        let mut process = self.process.take().unwrap();
        kill(
            Pid::from_raw(process.id().try_into().unwrap()),
            Signal::SIGTERM,
        )
        .unwrap();
        assert!(process.wait().unwrap().success(), "{}", self.log());
    }

    /// Waits for the manager's death at its step.
    pub fn died(&mut self) {
        let status = self.process.take().unwrap().wait().unwrap();
        assert_eq!(
            status.signal(),
            Some(Signal::SIGABRT as i32),
            "{}",
            self.log()
        );
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Asks, and gives the bytes of the answer; none when the manager died.
    pub fn exchange(&self, socket: &Path, request: &Request) -> Option<Vec<u8>> {
        let mut stream = UnixStream::connect(socket).ok()?;
        stream.write_all(&request.encode()).ok()?;
        stream.shutdown(Shutdown::Write).ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        (!bytes.is_empty()).then_some(bytes)
    }

    pub fn ask_as(
        &self,
        source: &str,
        method: &str,
        domain: &str,
        payload: &str,
    ) -> Option<Result<String, Refused>> {
        let request = Request {
            source: Destination::Name(source.parse().unwrap()),
            ..Request::from_dom0(
                method.parse().unwrap(),
                Destination::Name(domain.parse().unwrap()),
                payload.as_bytes().to_vec(),
            )
        };
        let bytes = self.exchange(&self.layout().admin_socket(), &request)?;
        Some(match Reply::decode(&bytes).unwrap() {
            Reply::Ok(content) => Ok(String::from_utf8(content).unwrap()),
            Reply::Exception(exception) => Err((exception.kind, exception.message)),
        })
    }

    /// Asks for dom0. `None` when the manager died instead of answering.
    pub fn ask(
        &self,
        method: &str,
        domain: &str,
        payload: &str,
    ) -> Option<Result<String, Refused>> {
        self.ask_as("dom0", method, domain, payload)
    }

    /// Asks and expects success.
    pub fn ok(&self, method: &str, domain: &str, payload: &str) -> String {
        let answer = self.ask(method, domain, payload).expect("an answer");
        answer.unwrap_or_else(|error| panic!("{method} {domain}: {error:?}\n{}", self.log()))
    }

    /// Asks and expects a refusal: its kind and message on two lines.
    pub fn refused(&self, method: &str, domain: &str, payload: &str) -> String {
        let (kind, message) = self
            .ask(method, domain, payload)
            .expect("an answer")
            .expect_err(method);
        format!("{kind}\n{message}")
    }

    pub fn create(&self, class: &str, name: &str) {
        self.ok(
            &format!("admin.vm.Create.{class}"),
            "dom0",
            &format!("name={name} label=red"),
        );
    }

    /// Name, class and state of every domain but dom0.
    pub fn domains(&self) -> BTreeMap<String, DomainSummary> {
        let json = self.ok("bulkhead.domain.List", "dom0", "");
        let all: Vec<DomainSummary> = serde_json::from_str(&json).unwrap();
        let others = all.into_iter().filter(|domain| domain.class != "AdminVM");
        others.map(|domain| (domain.name.clone(), domain)).collect()
    }

    pub fn state_of(&self, domain: &str) -> String {
        self.domains()
            .get(domain)
            .map_or("gone".to_owned(), |d| d.state.clone())
    }

    /// Ends a guest from outside, as the hypervisor or the guest itself would.
    pub fn guest_dies(&self, domain: &str) {
        let socket = UnixDatagram::unbound().unwrap();
        socket
            .send_to(domain.as_bytes(), self.machine().join("kill.sock"))
            .unwrap();
    }

    /// The names in a folder of the machine.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.machine().join(folder)).unwrap().flatten();
        let mut names: Vec<String> = entries
            .map(|e| e.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Opens the stream of system information.
    pub fn watch(&self) -> std::io::BufReader<UnixStream> {
        let method = "internal.WatchSystemInfo".parse().unwrap();
        let request = Request::from_dom0(method, Destination::dom0(), vec![]);
        let mut stream = UnixStream::connect(self.layout().internal_socket()).unwrap();
        stream.write_all(&request.encode()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut head = [0; 2];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"0\0");
        std::io::BufReader::new(stream)
    }

    /// Everything fits together: what the manager says, what runs, what lies around.
    pub fn verify_invariants(&self) {
        let domains = self.domains();
        let mut volumes = Vec::new();
        let mut running = Vec::new();
        for (name, domain) in &domains {
            let settled = matches!(domain.state.as_str(), "Running" | "Halted");
            assert!(settled, "{name} is {}\n{}", domain.state, self.log());
            let runs = domain.state == "Running";
            if runs {
                running.push(name.clone());
            }
            if domain.class != "DispVM" || runs {
                volumes.push(name.clone());
            }
            assert!(domain.class != "DispVM" || runs, "{name} is left over");
            let started = self
                .machine()
                .join("volumes")
                .join(name)
                .join("run")
                .exists();
            assert_eq!(started, runs, "working copies of {name}");
            assert!(DomainName::parse(name).is_ok());
        }
        assert_eq!(
            self.names("volumes"),
            volumes,
            "no orphan volume\n{}",
            self.log()
        );
        assert_eq!(
            self.names("guests"),
            running,
            "no orphan guest\n{}",
            self.log()
        );
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        bulkheadd::daemons::end_strays(self.dir.path());
    }
}
