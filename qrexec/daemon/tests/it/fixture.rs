// SPDX-License-Identifier: GPL-3.0-or-later
//! dom0 and a few domains in one folder.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bulkhead_admin::{Exception, Reply, Request};
use bulkhead_types::{DomId, Layout};
use bulkhead_vchan::{Endpoints, Transport};
use nix::unistd::{Uid, User};

/// What policy answers to a question, whose lines are given.
pub type Policy = dyn Fn(&HashMap<String, String>) -> String + Send + Sync;
/// What the domain manager answers.
pub type Manager = dyn Fn(&Request) -> Reply + Send + Sync;

/// A machine whose processes end with it.
pub struct Fixture {
    dir: tempfile::TempDir,
    transport: fn(PathBuf) -> Transport,
    running: Mutex<HashMap<String, Child>>,
    logs_go_on: AtomicBool,
    logs_are_full: AtomicBool,
}

/// What a command came to.
#[derive(Debug)]
#[must_use = "look at the exit code or the output"]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
    /// How long it could have run and had no processor.
    pub queued: Duration,
}

impl Outcome {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// Runs a command with this input to its end.
pub fn finish(command: &mut Command, input: &[u8]) -> Outcome {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut errors = child.stderr.take().unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        // Whoever does not read its input may leave it.
        scope.spawn(move || stdin.write_all(input));
        scope.spawn(|| errors.read_to_end(&mut stderr).unwrap());
        let mut output = child.stdout.take().unwrap();
        output.read_to_end(&mut stdout).unwrap();
    });
    // Until somebody waits for it, the kernel keeps what it knows.
    let queued = queued(child.id());
    Outcome {
        code: child.wait().unwrap().code(),
        stdout,
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        queued,
    }
}

fn queued(process: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap_or_default();
    let nanoseconds = text.split_whitespace().nth(1).and_then(|n| n.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// The user that runs the tests, and with them everything else.
pub fn user() -> String {
    User::from_uid(Uid::effective()).unwrap().unwrap().name
}

fn program(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_qrexec-daemon")).with_file_name(name);
    assert!(
        path.exists(),
        "{} is missing; run: cargo build --workspace --bins",
        path.display()
    );
    path
}

pub fn allow(question: &HashMap<String, String>) -> String {
    let target = &question["intended_target"];
    format!(
        "user=DEFAULT\nresult=allow\ntarget={target}\nautostart=True\nrequested_target={target}\n"
    )
}

impl Fixture {
    /// A machine whose policy allows everything.
    pub fn new() -> Arc<Self> {
        let fixture = Self::without_policy();
        fixture.policy(Box::new(allow));
        fixture
    }

    /// The same, whose domains reach each other over plain sockets.
    pub fn over_sockets() -> Arc<Self> {
        let fixture = Self::bare(Transport::Socket);
        fixture.policy(Box::new(allow));
        fixture
    }

    pub fn without_policy() -> Arc<Self> {
        Self::bare(Transport::Local)
    }

    fn bare(transport: fn(PathBuf) -> Transport) -> Arc<Self> {
        let dir = tempfile::tempdir().unwrap();
        let fixture = Self {
            dir,
            transport,
            running: Mutex::default(),
            logs_go_on: AtomicBool::new(false),
            logs_are_full: AtomicBool::new(false),
        };
        for place in [
            fixture.services(),
            fixture.layout().local_vchan_dir(),
            fixture.layout().qrexec_dir(),
        ] {
            fs::create_dir_all(place).unwrap();
        }
        Arc::new(fixture)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn layout(&self) -> Layout {
        Layout::below(self.path())
    }

    fn services(&self) -> PathBuf {
        self.path().join("services")
    }

    /// Puts a service in place, the same for dom0 and all domains.
    pub fn service(&self, name: &str, script: &str) {
        let path = self.services().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A program of qrexec in a domain.
    pub fn command(&self, name: &str, id: u32) -> Command {
        self.placed(Command::new(program(name)), id)
    }

    /// A command that finds this machine and is in this domain.
    fn placed(&self, mut command: Command, id: u32) -> Command {
        let channels = self.layout().local_vchan_dir();
        match (self.transport)(channels.clone()) {
            Transport::Socket(folder) => command
                .env("VCHAN_SOCKET_DIR", folder)
                .env_remove("BULKHEAD_VCHAN"),
            _ => command.env("BULKHEAD_VCHAN", format!("local:{}", channels.display())),
        };
        command
            .env("BULKHEAD_ROOT", self.path())
            .env("VCHAN_DOMAIN", id.to_string())
            .env("QREXEC_SERVICE_PATH", self.services())
            .env("QUBES_RPC_CONFIG_PATH", self.path().join("config"))
            .env("BULKHEAD_LOG_SOCKET", self.path().join("log"))
            .env_remove("NOTIFY_SOCKET");
        command
    }

    /// The test's own door to the channels of a domain.
    pub fn endpoints(&self, id: u32) -> Endpoints {
        let transport = (self.transport)(self.layout().local_vchan_dir());
        Endpoints::new(transport, DomId::new(id).unwrap()).unwrap()
    }

    pub fn agent_socket(&self, id: u32) -> PathBuf {
        self.path().join(format!("agent.{id}"))
    }

    pub fn start_agent(&self, id: u32) {
        self.start_agent_with(id, &[]);
    }

    /// Starts an agent with more words on its command line.
    pub fn start_agent_with(&self, id: u32, words: &[&str]) {
        self.start_agent_by(Command::new(program("qrexec-agent")), id, words);
    }

    /// Starts an agent by a command that puts it into a place first and gets the agent's words as its last.
    pub fn start_agent_inside(&self, id: u32, mut place: Command) {
        place.arg(program("qrexec-agent"));
        self.start_agent_by(place, id, &[]);
    }

    fn start_agent_by(&self, command: Command, id: u32, words: &[&str]) {
        let mut command = self.placed(command, id);
        let sessions = format!("--fork-server-socket={}", self.session(id, "%s").display());
        command.arg("-a").arg(self.agent_socket(id)).arg(sessions);
        self.keep(format!("agent {id}"), command.args(words));
    }

    /// The fork server's socket of a user's session in a domain.
    pub fn session(&self, id: u32, user: &str) -> PathBuf {
        self.path().join(format!("session.{id}.{user}"))
    }

    /// The fork server of a session, which has `MARK` in its environment.
    pub fn fork_server(&self, id: u32, mark: &str) -> Command {
        let mut command = self.command("qrexec-fork-server", id);
        command.env("MARK", mark);
        command
    }

    /// Starts the session of the tests' user in a domain, with `MARK` in its environment.
    pub fn start_session(&self, id: u32, mark: &str) {
        self.start_session_by(self.fork_server(id, mark), id);
    }

    /// The same with these words of the shell's `ulimit`.
    pub fn start_session_within(&self, id: u32, mark: &str, limit: &str) {
        let mut shell = self.placed(Command::new("sh"), id);
        shell
            .arg("-c")
            .arg(format!("ulimit {limit}; exec \"$0\" \"$@\""))
            .arg(program("qrexec-fork-server"))
            .env("MARK", mark);
        self.start_session_by(shell, id);
    }

    fn start_session_by(&self, mut command: Command, id: u32) {
        let listener = UnixListener::bind(self.session(id, &user())).unwrap();
        command
            .arg("--background")
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .stderr(self.open_log(&format!("session {id}")));
        let child = command.spawn().unwrap();
        let mut running = self.running.lock().unwrap();
        running.insert(format!("session {id}"), child);
    }

    /// The configuration of a service.
    pub fn configure(&self, name: &str, text: &str) {
        let dir = self.path().join("config");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(name), text).unwrap();
    }

    /// The system log of all domains.
    pub fn system_log(&self) -> UnixDatagram {
        let log = UnixDatagram::bind(self.path().join("log")).unwrap();
        log.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        log
    }

    /// Starts a daemon; what is returned says each time that its agent has come.
    pub fn start_daemon(&self, id: u32, name: &str) -> UnixDatagram {
        let notify = self.path().join(format!("notify.{id}"));
        let _ = fs::remove_file(&notify);
        let ready = UnixDatagram::bind(&notify).unwrap();
        self.start_daemon_again(id, name);
        ready
    }

    /// Starts a daemon in the place of one that was there before.
    pub fn start_daemon_again(&self, id: u32, name: &str) {
        let notify = self.path().join(format!("notify.{id}"));
        let mut command = self.command("qrexec-daemon", 0);
        let uuid = format!("--uuid=c0ffee00-1234-4abc-8def-{id:012}");
        command.args(["--direct", &uuid, &id.to_string(), name, &user()]);
        self.keep(
            format!("daemon {id}"),
            command.env("NOTIFY_SOCKET", &notify),
        );
    }

    /// Starts a domain and waits until it takes calls.
    pub fn domain(&self, id: u32, name: &str) -> UnixDatagram {
        self.start_agent(id);
        let ready = self.start_daemon(id, name);
        wait_ready(&ready);
        ready
    }

    /// From now on a process goes on with the log that is there, as in an installation.
    pub fn append_to_logs(&self) {
        self.logs_go_on.store(true, Ordering::Relaxed);
    }

    /// From now on a process can write nothing into its log.
    pub fn fill_logs(&self) {
        self.logs_are_full.store(true, Ordering::Relaxed);
    }

    fn open_log(&self, name: &str) -> fs::File {
        let full = self.logs_are_full.load(Ordering::Relaxed);
        let log = if full {
            "/dev/full".into()
        } else {
            self.path().join(format!("{name}.log"))
        };
        let log = fs::File::options().create(true).append(true).open(log);
        let log = log.unwrap();
        if !full && !self.logs_go_on.load(Ordering::Relaxed) {
            log.set_len(0).unwrap();
        }
        log
    }

    fn keep(&self, name: String, command: &mut Command) {
        let log = self.open_log(&name);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        if let Some(mut old) = self.running.lock().unwrap().insert(name, child) {
            let _ = old.kill();
            let _ = old.wait();
        }
    }

    /// Kills a process as if by `kill -9`.
    pub fn kill(&self, name: &str) {
        let mut child = self.running.lock().unwrap().remove(name).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits for the end of a process; its exit code.
    pub fn end_of(&self, name: &str) -> Option<i32> {
        let mut child = self.running.lock().unwrap().remove(name).unwrap();
        child.wait().unwrap().code()
    }

    /// The processes by name, with their ids.
    pub fn running(&self) -> HashMap<String, u32> {
        let running = self.running.lock().unwrap();
        running
            .iter()
            .map(|(name, child)| (name.clone(), child.id()))
            .collect()
    }

    pub fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(format!("{name}.log"))).unwrap()
    }

    /// A call from dom0: `command` is USER:COMMAND without the user.
    pub fn dom0_calls(&self, domain: &str, command: &str) -> Command {
        self.dom0_calls_as(&user(), domain, command)
    }

    /// The same for another user of the domain.
    pub fn dom0_calls_as(&self, user: &str, domain: &str, command: &str) -> Command {
        let mut client = self.command("qrexec-client", 0);
        client.args(["-d", domain, &format!("{user}:{command}")]);
        client
    }

    /// A call from a domain.
    pub fn domain_calls(&self, id: u32, target: &str, service: &str) -> Command {
        let mut client = self.command("qrexec-client-vm", id);
        client
            .arg("-a")
            .arg(self.agent_socket(id))
            .args([target, service]);
        client
    }

    /// Lets policy answer with `answer` from now on.
    pub fn policy(&self, answer: Box<Policy>) {
        let path = self.layout().policy_socket();
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(path).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let question = lines.iter().filter_map(|line| {
                    line.split_once('=')
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                });
                let question: HashMap<String, String> = question.collect();
                // Whoever asked may have been killed in the middle.
                if question.len() < 3 {
                    continue;
                }
                let text = answer(&question);
                let _ = stream.write_all(text.as_bytes());
            }
        });
    }

    /// Plays the domain manager from now on.
    pub fn manager(&self, answer: Box<Manager>) {
        let listener = UnixListener::bind(self.layout().admin_socket()).unwrap();
        let answer: Arc<Manager> = Arc::from(answer);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
                thread::spawn(move || {
                    let mut bytes = Vec::new();
                    stream.read_to_end(&mut bytes).unwrap();
                    let reply = answer(&Request::decode(&bytes).unwrap());
                    // Whoever asked may have been killed meanwhile.
                    let _ = stream.write_all(&reply.encode());
                });
            }
        });
    }
}

pub fn wait_ready(ready: &UnixDatagram) {
    let mut word = [0; 32];
    let len = ready.recv(&mut word).unwrap();
    assert_eq!(&word[..len].trim_ascii(), b"READY=1");
}

pub fn no_such_domain() -> Reply {
    Reply::Exception(Exception {
        kind: "QubesVMNotFoundError".into(),
        message: "no such domain".into(),
    })
}

impl Drop for Fixture {
    fn drop(&mut self) {
        for (_, mut child) in self.running.get_mut().unwrap().drain() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
