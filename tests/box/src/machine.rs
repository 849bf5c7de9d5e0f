// SPDX-License-Identifier: GPL-3.0-or-later
//! The booted box.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::BoxError;
use crate::channel::{Channel, NoAnswer, Posted};
use crate::qemu::{Display, Parts, Qemu};
use crate::qmp::Monitor;
use crate::wire::{Answer, Ask, Bytes, CHUNK};

/// How long dom0's user space may take.
const BOOT: Duration = Duration::from_secs(180);

/// How long an answer may be late after the time that the request itself has.
const GRACE: Duration = Duration::from_secs(30);

/// How long a part of a file may take.
const TRANSFER: Duration = Duration::from_secs(60);

/// What to boot.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder with dom0's `xen`, `vmlinuz`, `initrd.img`, `root.img`.
    pub dom0: PathBuf,
    /// The disk with the templates.
    pub data: PathBuf,
    /// Memory of the machine in MiB.
    pub memory: u32,
    /// Memory of dom0 in MiB.
    pub dom0_memory: u32,
    /// Where the picture goes.
    pub display: Display,
}

/// A program to run in dom0.
#[derive(Clone, Debug)]
pub struct Run {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    timeout: Duration,
}

impl Run {
    /// The program with its arguments, at most a minute, without input.
    pub fn new(argv: &[&str]) -> Self {
        Self {
            argv: argv.iter().map(|&word| word.to_owned()).collect(),
            env: Vec::new(),
            stdin: Vec::new(),
            timeout: Duration::from_secs(60),
        }
    }

    /// A script for the shell.
    pub fn script(text: &str) -> Self {
        Self::new(&["sh", "-c", text])
    }

    /// With a variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With something to read.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// With another limit on its time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// How a program ended and what it wrote.
#[derive(Clone, Debug)]
#[must_use = "look at the exit code"]
pub struct Output {
    /// Exit code; 128 + number for a signal.
    pub code: i32,
    /// Whether it was killed because its time was up.
    pub timed_out: bool,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Everything that it wrote, for a message.
    pub fn all(&self) -> String {
        self.text() + &String::from_utf8_lossy(&self.stderr)
    }
}

/// A program under way in dom0.
pub struct Started {
    posted: Posted,
    what: String,
}

/// A machine with Xen that has reached dom0's user space. QEMU ends when it is dropped.
pub struct Machine {
    qemu: Qemu,
    channel: Channel,
    monitor: Monitor,
    // Holds the sockets; removed last.
    _folder: TempDir,
}

impl Machine {
    /// Boots, and returns once box-agent answers. Xen's services and the desktop come up after
    /// that: see [`Machine::await_path`] and the files `/run/box/xen`, `/run/box/desktop`.
    pub fn boot(options: &Options) -> Result<Self, BoxError> {
        // Socket paths are short; the system's temporary folder is, too.
        let folder = tempfile::Builder::new()
            .prefix("bulkhead-box-")
            .tempdir()
            .map_err(BoxError::io("create", std::env::temp_dir()))?;
        let qemu = Qemu::start(&Parts {
            dom0: &options.dom0,
            data: &options.data,
            memory: options.memory,
            dom0_memory: options.dom0_memory,
            display: options.display,
            folder: folder.path(),
        })?;
        let socket = qemu.connect()?;
        let channel = Channel::new(socket).map_err(BoxError::io("read from", folder.path()))?;
        let monitor = Monitor::connect(&qemu.socket("monitor"))?;
        let machine = Self {
            qemu,
            channel,
            monitor,
            _folder: folder,
        };
        let hello = machine.channel.await_hello(BOOT);
        hello.map_err(|error| machine.explain(error, "dom0's user space", BOOT))?;
        Ok(machine)
    }

    /// Runs a program in dom0 to its end.
    pub fn run(&self, run: Run) -> Result<Output, BoxError> {
        let timeout = run.timeout + GRACE;
        let started = self.start(run)?;
        self.finish(&started, timeout)
    }

    /// Starts a program in dom0 whose end can be waited for later.
    pub fn start(&self, run: Run) -> Result<Started, BoxError> {
        let what = run.argv.join(" ");
        let ask = Ask::Run {
            argv: run.argv,
            env: run.env,
            stdin: Bytes(run.stdin),
            timeout: run.timeout.as_millis() as u64,
        };
        match self.channel.post(ask) {
            Ok(posted) => Ok(Started { posted, what }),
            Err(error) => Err(self.explain(error, &what, GRACE)),
        }
    }

    /// Waits for the end of a program that was started, at most `timeout`.
    pub fn finish(&self, started: &Started, timeout: Duration) -> Result<Output, BoxError> {
        let Started { posted, what } = started;
        let answer = posted.answer(timeout);
        match answer.map_err(|error| self.explain(error, what, timeout))? {
            Answer::Ended {
                code,
                timed_out,
                stdout,
                stderr,
            } => Ok(Output {
                code,
                timed_out,
                stdout: stdout.0,
                stderr: stderr.0,
            }),
            other => Err(odd(&other)),
        }
    }

    /// Starts a program in dom0 that goes on running; its output is appended to `log`. Gives its
    /// process id.
    pub fn spawn(&self, run: Run, log: &str) -> Result<i32, BoxError> {
        let what = run.argv.join(" ");
        let ask = Ask::Spawn {
            argv: run.argv,
            env: run.env,
            log: log.into(),
        };
        match self.ask(ask, &what, GRACE)? {
            Answer::Started { pid } => Ok(pid),
            other => Err(odd(&other)),
        }
    }

    /// Kills a program that [`Machine::spawn`] started, and what it started.
    pub fn kill(&self, pid: i32) -> Result<(), BoxError> {
        self.ask(Ask::Kill { pid }, "kill", GRACE).map(drop)
    }

    /// Waits until `path` exists in dom0.
    pub fn await_path(&self, path: &str, timeout: Duration) -> Result<(), BoxError> {
        let ask = Ask::Await {
            path: path.into(),
            timeout: timeout.as_millis() as u64,
        };
        self.ask(ask, path, timeout + GRACE).map(drop)
    }

    /// Writes a file in dom0, with its folders.
    pub fn put(&self, path: &str, mode: u32, content: &[u8]) -> Result<(), BoxError> {
        let mut offset = 0;
        loop {
            let end = content.len().min(offset + CHUNK);
            let ask = Ask::Put {
                path: path.into(),
                mode,
                offset: offset as u64,
                data: Bytes(content[offset..end].to_vec()),
            };
            self.ask(ask, path, TRANSFER)?;
            offset = end;
            if offset == content.len() {
                return Ok(());
            }
        }
    }

    /// Copies a program or file of the host into dom0.
    pub fn put_file(&self, from: &Path, to: &str, mode: u32) -> Result<(), BoxError> {
        let content = std::fs::read(from).map_err(BoxError::io("read", from))?;
        self.put(to, mode, &content)
    }

    /// Reads a file of dom0.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, BoxError> {
        let mut content = Vec::new();
        loop {
            let ask = Ask::Get {
                path: path.into(),
                offset: content.len() as u64,
            };
            match self.ask(ask, path, TRANSFER)? {
                Answer::Data(Bytes(data)) if data.is_empty() => return Ok(content),
                Answer::Data(Bytes(data)) => content.extend_from_slice(&data),
                other => return Err(odd(&other)),
            }
        }
    }

    /// Writes what the screen shows to `path` on the host, as PNG.
    pub fn screenshot(&mut self, path: &Path) -> Result<(), BoxError> {
        // QEMU writes it, and has a working folder of its own.
        let path = std::path::absolute(path).map_err(BoxError::io("find", path))?;
        self.monitor.screenshot(&path, "png")
    }

    /// The same as PPM (`path` is absolute), for comparing pixels.
    pub fn screenshot_ppm(&mut self, path: &Path) -> Result<(), BoxError> {
        self.monitor.screenshot(path, "ppm")
    }

    /// QEMU's monitor, for keys and the pointer.
    pub fn monitor(&mut self) -> &mut Monitor {
        &mut self.monitor
    }

    /// The last lines of the serial console.
    pub fn console_tail(&self) -> String {
        self.qemu.console_tail()
    }

    /// Waits until the user closes the window or shuts dom0 down.
    pub fn await_end(&mut self) {
        while self.qemu.await_end(Duration::from_secs(3600)).is_none() {}
    }

    /// Shuts dom0 down and waits for QEMU's end.
    pub fn power_off(mut self) -> Result<(), BoxError> {
        let _asked = self.run(Run::new(&["/sbin/poweroff"]));
        match self.qemu.await_end(GRACE) {
            Some(_) => Ok(()),
            None => Err(self.explain(NoAnswer::TimedOut, "the machine's end", GRACE)),
        }
    }

    fn ask(&self, ask: Ask, what: &str, timeout: Duration) -> Result<Answer, BoxError> {
        self.channel
            .ask(ask, timeout)
            .map_err(|error| self.explain(error, what, timeout))
    }

    fn explain(&self, error: NoAnswer, waiting_for: &str, timeout: Duration) -> BoxError {
        let waiting_for = waiting_for.to_owned();
        match error {
            NoAnswer::Failed(reason) => BoxError::Agent(reason),
            NoAnswer::TimedOut => BoxError::TimedOut {
                waiting_for,
                seconds: timeout.as_secs(),
                console: self.qemu.console_tail(),
            },
            NoAnswer::Closed => BoxError::Ended {
                waiting_for,
                console: self.qemu.console_tail(),
            },
        }
    }
}

fn odd(answer: &Answer) -> BoxError {
    BoxError::Agent(format!("an answer to another question: {answer:?}"))
}
