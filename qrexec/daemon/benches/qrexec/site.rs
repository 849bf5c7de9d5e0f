// SPDX-License-Identifier: GPL-3.0-or-later
//! dom0 and two domains in one folder, made of one implementation's programs.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Layout};
use bulkhead_vchan::{Endpoints, Transport};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};

use crate::cast::{Cast, Make, Part, mentions};

/// How domains reach each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Rings in shared memory.
    Local,
    /// Plain sockets, as other implementations can speak them.
    Socket,
}

/// A domain that calls and one that is called.
pub const WORK: u32 = 1;
pub const PERSONAL: u32 = 2;
/// Who a domain is.
pub fn uuid(id: u32) -> String {
    format!("c0ffee00-1234-4abc-8def-{id:012}")
}

/// A target that policy refuses.
pub const FORBIDDEN: &str = "vault";
/// Bytes in the file that streams are made of.
pub const STREAM: u64 = 512 << 20;

/// A machine. Its processes end with it.
pub struct Site {
    pub name: &'static str,
    wire: Wire,
    cast: Cast,
    folder: tempfile::TempDir,
    user: User,
    running: Vec<Child>,
}

impl Site {
    pub fn new(cast: Cast, wire: Wire) -> Self {
        // In memory, as the folders below /run are; on a disk, names of sockets cost more than calls.
        let memory = Some(PathBuf::from("/dev/shm")).filter(|folder| folder.is_dir());
        let folder = tempfile::Builder::new()
            .prefix("qx-")
            .tempdir_in(memory.unwrap_or_else(std::env::temp_dir))
            .unwrap();
        // The reference's agent as root wants PAM; everybody runs as somebody ordinary.
        let ordinary = if Uid::effective().is_root() {
            User::from_name("nobody").unwrap()
        } else {
            User::from_uid(Uid::effective()).unwrap()
        };
        let mut site = Self {
            name: match wire {
                _ if cast.is_ours() => "ours",
                Wire::Local => "other",
                Wire::Socket => "reference",
            },
            wire,
            cast,
            folder,
            user: ordinary.unwrap(),
            running: Vec::new(),
        };
        fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        site.install();
        if wire == Wire::Local {
            site.answer_policy();
        }
        site.answer_calls();
        site.start(WORK, "work", Part::WorkDaemon, Part::WorkAgent);
        site.start(
            PERSONAL,
            "personal",
            Part::PersonalDaemon,
            Part::PersonalAgent,
        );
        site
    }

    /// Starts a domain: its agent, and its daemon in dom0.
    fn start(&mut self, id: u32, name: &str, daemon: Part, agent: Part) {
        let mut command = self.command(agent, id);
        command.arg("-a").arg(self.agent_socket(id));
        if self.cast.make(agent) == Make::Ours && self.cast.speaks_only_2(daemon) {
            command.args(["--protocol-version", "2"]);
        }
        if agent == Part::PersonalAgent && self.cast.session.is_some() {
            let pattern = self.path("run/session.%s");
            command.arg(format!("--fork-server-socket={}", pattern.display()));
            self.start_session();
        }
        self.keep(&mut command);
        self.start_daemon(id, name, daemon);
    }

    /// Starts a domain whose agent is root, by a command that puts the agent into its place and gets the
    /// agent's words as its last.
    pub fn start_as_root(&mut self, id: u32, name: &str, mut place: Command) {
        place.arg(self.path("bin/ours/qrexec-agent"));
        self.place(&mut place, id);
        self.keep(place.arg("-a").arg(self.agent_socket(id)));
        self.start_daemon(id, name, Part::PersonalDaemon);
    }

    fn start_daemon(&mut self, id: u32, name: &str, daemon: Part) {
        let mut command = self.command(daemon, 0);
        command.arg("--direct");
        let wanted = match self.cast.make(daemon) {
            Make::Ours => true,
            Make::Other(folder) => mentions(&folder, daemon.program(), "--uuid"),
        };
        if wanted {
            command.arg(format!("--uuid={}", uuid(id)));
        }
        if self.wire == Wire::Socket {
            let policy = self.path("policy");
            command.arg(format!("--policy-program={}", policy.display()));
        }
        command.arg(format!("--socket-dir={}", self.path("sockets").display()));
        command.args([&id.to_string(), name, &self.user.name]);
        self.keep(&mut command);
        self.wait_for(&self.path("sockets").join(format!("qrexec.{name}")));
    }

    /// Starts what serves calls in the session of personal's user.
    fn start_session(&mut self) {
        let socket = self.path(&format!("run/session.{}", self.user.name));
        let mut command = self.command(Part::Session, PERSONAL);
        command.arg(&socket).env("PAIR_SESSION", "in the session");
        self.keep(&mut command);
        self.wait_for(&socket);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn install(&self) {
        let folders = [
            "sockets",
            "vchan",
            "services",
            "config",
            "run/bulkhead",
            "home",
        ];
        for name in folders {
            fs::create_dir_all(self.path(name)).unwrap();
        }
        self.cast.install(&self.path("bin"));
        symlink("/bin/true", self.path("services/bench.True")).unwrap();
        symlink("/bin/cat", self.path("services/bench.Cat")).unwrap();
        let zeros = fs::File::create(self.path("zeros")).unwrap();
        zeros.set_len(STREAM).unwrap();
        let give = format!("exec cat {}", self.path("zeros").display());
        self.script("services/bench.Take", "exec cat > /dev/null");
        self.script("services/bench.Give", &give);
        self.script("policy", &self.policy_program());
        for name in ["", "sockets", "vchan", "services", "run/bulkhead", "home"] {
            let (uid, gid) = (self.user.uid.as_raw(), self.user.gid.as_raw());
            chown(self.path(name), Some(uid), Some(gid)).unwrap();
        }
    }

    /// Writes a program.
    pub fn script(&self, name: &str, text: &str) {
        fs::write(self.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A policy that allows everything but one target. Older daemons give two words more and want the
    /// program to make the call too.
    fn policy_program(&self) -> String {
        let user = &self.user.name;
        let sockets = self.path("sockets");
        let folder = match self.cast.make(Part::Client) {
            Make::Ours => self.path("bin/ours"),
            Make::Other(_) => self.path("bin/other"),
        };
        format!(
            r#"if [ "$3" = {FORBIDDEN} ] || [ "$4" = {FORBIDDEN} ]; then echo result=deny; exit 1; fi
if [ $# = 6 ]; then
    set -- "$2" "$3" "$4" "$5" "$6" {client} --socket-dir={sockets}
    case $3 in
    dom0|@adminvm) exec $6 $7 -d dom0 -c "$5,$2,$1" -E "QUBESRPC $4 $2 name dom0" ;;
    *) exec $6 $7 -d "$3" -c "$5,$2,$1" "{user}:QUBESRPC $4 $2" ;;
    esac
fi
echo result=allow
echo user={user}
echo "target=$3"
echo autostart=True
echo "requested_target=$3""#,
            client = folder.join("qrexec-client").display(),
            sockets = sockets.display(),
        )
    }

    /// A program that plays a part, acting in a domain.
    pub fn command(&self, part: Part, id: u32) -> Command {
        let mut command = self.cast.command(&self.path("bin"), part);
        self.place(&mut command, id);
        // Our clients may be anybody, and to become somebody takes as long as much of a call. Where
        // others take part, all are alike.
        let client = matches!(part, Part::Client | Part::GuestClient);
        if !(client && self.wire == Wire::Local) {
            self.become_ordinary(&mut command);
        }
        command
    }

    /// Another program in a domain.
    pub fn in_domain(&self, program: &Path, id: u32) -> Command {
        let mut command = Command::new(program);
        self.place(&mut command, id);
        self.become_ordinary(&mut command);
        command
    }

    fn become_ordinary(&self, command: &mut Command) {
        if Uid::effective().is_root() {
            let (uid, gid) = (self.user.uid.as_raw(), self.user.gid.as_raw());
            command.gid(gid).uid(uid);
        }
    }

    /// Says where everything is, and which domain the program is in.
    fn place(&self, command: &mut Command, id: u32) {
        command
            .env("BULKHEAD_ROOT", self.folder.path())
            .env("HOME", self.path("home"))
            .env("VCHAN_DOMAIN", id.to_string())
            .env("QREXEC_SERVICE_PATH", self.path("services"))
            .env("QUBES_RPC_CONFIG_PATH", self.path("config"))
            .env_remove("NOTIFY_SOCKET")
            .current_dir("/");
        match self.wire {
            Wire::Local => command.env(
                "BULKHEAD_VCHAN",
                format!("local:{}", self.path("vchan").display()),
            ),
            Wire::Socket => command.env("VCHAN_SOCKET_DIR", self.path("vchan")),
        };
    }

    /// dom0 calls a service of personal.
    pub fn dom0_calls(&self, service: &str) -> Command {
        let mut command = self.client();
        command.args(["-d", "personal"]);
        command.arg(format!("{}:QUBESRPC {service} dom0", self.user.name));
        command
    }

    /// dom0 gives personal's agent a command.
    pub fn dom0_says(&self, command: &str) -> Command {
        let mut client = self.client();
        client.args(["-d", "personal", command]);
        client
    }

    /// The client in dom0, still without a domain and a command.
    pub fn client(&self) -> Command {
        let mut command = self.command(Part::Client, 0);
        command.arg(format!("--socket-dir={}", self.path("sockets").display()));
        command
    }

    /// work calls a service.
    pub fn guest_calls(&self, target: &str, service: &str) -> Command {
        let mut command = self.guest_client();
        command.args([target, service]);
        command
    }

    /// The client in work, still without a target and a service.
    pub fn guest_client(&self) -> Command {
        let mut command = self.command(Part::GuestClient, WORK);
        let socket = self.agent_socket(WORK);
        command.arg(format!("--agent-socket={}", socket.display()));
        command
    }

    /// The processes of dom0 for the domain that calls: its daemon, and those that it has started.
    pub fn daemons(&self) -> Vec<u32> {
        // The agent was started before it.
        let daemon = self.running[1].id();
        let children = fs::read_to_string(format!("/proc/{daemon}/task/{daemon}/children"));
        let children = children.unwrap_or_default();
        let children = children.split_whitespace().map(|pid| pid.parse().unwrap());
        [daemon].into_iter().chain(children).collect()
    }

    pub fn agent_socket(&self, id: u32) -> PathBuf {
        self.path(&format!("run/agent.{id}"))
    }

    pub fn user(&self) -> &str {
        &self.user.name
    }

    /// This process's own door to the channels of a domain.
    pub fn endpoints(&self, id: u32) -> Endpoints {
        let transport = match self.wire {
            Wire::Local => Transport::Local(self.path("vchan")),
            Wire::Socket => Transport::Socket(self.path("vchan")),
        };
        Endpoints::new(transport, DomId::new(id).unwrap()).unwrap()
    }

    fn keep(&mut self, command: &mut Command) {
        chown_to(&self.path("run"), &self.user);
        let log = self.path(&format!("{}.log", self.running.len()));
        let log = fs::File::create(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.running.push(child.unwrap());
    }

    fn wait_for(&self, path: &Path) {
        let end = Instant::now() + Duration::from_secs(20);
        while !path.exists() {
            assert!(
                Instant::now() < end,
                "{} did not come: {}",
                path.display(),
                self.logs()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn logs(&self) -> String {
        let logs =
            (0..self.running.len()).map(|n| fs::read_to_string(self.path(&format!("{n}.log"))));
        logs.flatten().collect()
    }

    /// A policy that allows everything but one target.
    fn answer_policy(&self) {
        let socket = Layout::below(self.folder.path()).policy_socket();
        let listener = UnixListener::bind(&socket).unwrap();
        open_to_all(&socket);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let mut target = String::new();
                for line in lines.take_while(|line| !line.is_empty()) {
                    if let Some(name) = line.strip_prefix("intended_target=") {
                        target = name.to_owned();
                    }
                }
                let answer = if target == FORBIDDEN {
                    "result=deny\n".to_owned()
                } else {
                    format!(
                        "user=DEFAULT\nresult=allow\ntarget={target}\nautostart=True\nrequested_target={target}\n"
                    )
                };
                let _ = stream.write_all(answer.as_bytes());
            }
        });
    }

    /// The services that pairings call.
    pub fn answer_pairs(&self) {
        let told = r#"echo "$QREXEC_REMOTE_DOMAIN $QREXEC_SERVICE_ARGUMENT""#;
        self.script("services/pair.Told", told);
        self.script("services/pair.Fail", "echo out; echo trouble >&2; exit 42");
        self.script("services/pair.Deaf", "exec <&-; echo deaf; exit 7");
        self.script("services/pair.Count", "wc -c");
        self.script("services/pair.Session", r#"echo "$PAIR_SESSION""#);
        self.script(
            "services/pair.OneSocket",
            "kill -USR1 \"$QREXEC_AGENT_PID\"; sleep 0.2; exec >&0; echo back",
        );
        self.script(
            "services/pair.OnInput",
            "kill -USR1 \"$QREXEC_AGENT_PID\"; sleep 0.2; exec >&-; echo back >&0",
        );
        let target = r#"echo "$QREXEC_REQUESTED_TARGET_TYPE $QREXEC_REQUESTED_TARGET""#;
        self.script("services/pair.Target", target);
        self.answer_lines();
        fs::write(self.path("services/pair.Text"), "no program").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        symlink(
            format!("/dev/tcp/127.0.0.1/{port}"),
            self.path("services/pair.Tcp"),
        )
        .unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = stream.unwrap().write_all(b"tcp");
            }
        });
    }

    /// A socket service that says its first line.
    fn answer_lines(&self) {
        self.answer_at("pair.Line", |line| line);
    }

    /// A socket service that takes its first line, says one byte and ends.
    fn answer_calls(&self) {
        self.answer_at("bench.Socket", |_| b"!");
    }

    /// A socket service that answers its first line and ends.
    fn answer_at(&self, name: &str, answer: fn(&[u8]) -> &[u8]) {
        let socket = self.path(&format!("services/{name}"));
        let listener = UnixListener::bind(&socket).unwrap();
        open_to_all(&socket);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream: UnixStream = stream.unwrap();
                let mut line = [0; 256];
                let len = stream.read(&mut line).unwrap_or(0);
                let _ = stream.write_all(answer(&line[..len]));
            }
        });
    }
}

impl Site {
    /// Ends programs of this site that went into the background.
    fn end_background(&self) {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        for process in processes {
            let program = fs::read_link(process.path().join("exe"));
            let number = process.file_name().to_string_lossy().parse();
            if let (Ok(program), Ok(number)) = (program, number)
                && program.starts_with(self.path("bin"))
            {
                let _ = kill(Pid::from_raw(number), Signal::SIGKILL);
            }
        }
    }
}

fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

fn chown_to(path: &Path, user: &User) {
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
}

impl Drop for Site {
    fn drop(&mut self) {
        for child in &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.end_background();
    }
}
