// SPDX-License-Identifier: GPL-3.0-or-later
//! dom0 and two domains in one folder, made of one implementation's programs.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Layout};
use bulkhead_vchan::{Endpoints, Transport};
use nix::unistd::{Uid, User};

/// Whose programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Make {
    /// Those of this workspace.
    Ours,
    /// Those in this folder.
    Other(PathBuf),
}

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
/// A target that policy refuses.
pub const FORBIDDEN: &str = "vault";
/// Bytes in the file that streams are made of.
pub const STREAM: u64 = 512 << 20;

const PROGRAMS: [&str; 4] = [
    "qrexec-daemon",
    "qrexec-agent",
    "qrexec-client",
    "qrexec-client-vm",
];

/// A machine. Its processes end with it.
pub struct Site {
    pub name: &'static str,
    wire: Wire,
    folder: tempfile::TempDir,
    user: User,
    running: Vec<Child>,
}

impl Site {
    pub fn new(make: Make, wire: Wire) -> Self {
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
            name: if make == Make::Ours {
                "ours"
            } else {
                "reference"
            },
            wire,
            folder,
            user: ordinary.unwrap(),
            running: Vec::new(),
        };
        fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        site.install(&make);
        if wire == Wire::Local {
            site.answer_policy();
        }
        site.answer_calls();
        for (id, name) in [(WORK, "work"), (PERSONAL, "personal")] {
            let mut agent = site.command("qrexec-agent", id);
            agent.arg("-a").arg(site.agent_socket(id));
            site.keep(&mut agent);
            let mut daemon = site.command("qrexec-daemon", 0);
            daemon.arg("--direct");
            daemon.arg(format!("--uuid=c0ffee00-1234-4abc-8def-{id:012}"));
            if wire == Wire::Socket {
                daemon.arg(format!(
                    "--policy-program={}",
                    site.path("policy").display()
                ));
            }
            daemon.arg(format!("--socket-dir={}", site.path("sockets").display()));
            daemon.args([&id.to_string(), name, &site.user.name]);
            site.keep(&mut daemon);
            site.wait_for(&site.path("sockets").join(format!("qrexec.{name}")));
        }
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn install(&self, make: &Make) {
        for name in [
            "bin",
            "sockets",
            "vchan",
            "services",
            "config",
            "run/bulkhead",
        ] {
            fs::create_dir_all(self.path(name)).unwrap();
        }
        let from = match make {
            Make::Ours => Path::new(env!("CARGO_BIN_EXE_qrexec-daemon"))
                .parent()
                .unwrap(),
            Make::Other(folder) => folder,
        };
        // Copied, since somebody ordinary may not reach where they are.
        for name in PROGRAMS {
            let copied = fs::copy(from.join(name), self.path("bin").join(name));
            copied.unwrap_or_else(|error| panic!("{}: {error}", from.join(name).display()));
        }
        if let Make::Other(folder) = make {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                let name = entry.file_name();
                if name.to_string_lossy().contains(".so") {
                    fs::copy(entry.path(), self.path("bin").join(name)).unwrap();
                }
            }
        }
        symlink("/bin/true", self.path("services/bench.True")).unwrap();
        symlink("/bin/cat", self.path("services/bench.Cat")).unwrap();
        let zeros = fs::File::create(self.path("zeros")).unwrap();
        zeros.set_len(STREAM).unwrap();
        let give = format!("exec cat {}", self.path("zeros").display());
        let scripts = [
            ("services/bench.Take", "exec cat > /dev/null".to_owned()),
            ("services/bench.Give", give),
            (
                "policy",
                format!(
                    "echo result=allow\necho user={}\necho \"target=$3\"\necho autostart=True\necho \"requested_target=$3\"\nif [ \"$3\" = {FORBIDDEN} ]; then exit 1; fi",
                    self.user.name
                ),
            ),
        ];
        for (name, text) in scripts {
            fs::write(self.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for name in ["", "sockets", "vchan", "services", "run/bulkhead"] {
            let (uid, gid) = (self.user.uid.as_raw(), self.user.gid.as_raw());
            chown(self.path(name), Some(uid), Some(gid)).unwrap();
        }
    }

    /// A program of this site, acting in a domain.
    pub fn command(&self, program: &str, id: u32) -> Command {
        let mut command = Command::new(self.path("bin").join(program));
        command
            .env("BULKHEAD_ROOT", self.folder.path())
            .env("VCHAN_DOMAIN", id.to_string())
            .env("QREXEC_SERVICE_PATH", self.path("services"))
            .env("QUBES_RPC_CONFIG_PATH", self.path("config"))
            .env("LD_LIBRARY_PATH", self.path("bin"))
            .env_remove("NOTIFY_SOCKET")
            .current_dir("/");
        match self.wire {
            Wire::Local => command.env(
                "BULKHEAD_VCHAN",
                format!("local:{}", self.path("vchan").display()),
            ),
            Wire::Socket => command.env("VCHAN_SOCKET_DIR", self.path("vchan")),
        };
        if Uid::effective().is_root() {
            let (uid, gid) = (self.user.uid.as_raw(), self.user.gid.as_raw());
            command.gid(gid).uid(uid);
        }
        command
    }

    /// dom0 calls a service of personal.
    pub fn dom0_calls(&self, service: &str) -> Command {
        let mut command = self.command("qrexec-client", 0);
        command.arg(format!("--socket-dir={}", self.path("sockets").display()));
        command.args(["-d", "personal"]);
        command.arg(format!("{}:QUBESRPC {service} dom0", self.user.name));
        command
    }

    /// work calls a service.
    pub fn guest_calls(&self, target: &str, service: &str) -> Command {
        let mut command = self.command("qrexec-client-vm", WORK);
        command.arg(format!(
            "--agent-socket={}",
            self.agent_socket(WORK).display()
        ));
        command.args([target, service]);
        command
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

    fn logs(&self) -> String {
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

    /// A socket service that takes its first line, says one byte and ends.
    fn answer_calls(&self) {
        let socket = self.path("services/bench.Socket");
        let listener = UnixListener::bind(&socket).unwrap();
        open_to_all(&socket);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream: UnixStream = stream.unwrap();
                let mut line = [0; 256];
                let _ = stream.read(&mut line);
                let _ = stream.write_all(b"!");
            }
        });
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
    }
}
