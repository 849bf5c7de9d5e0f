// SPDX-License-Identifier: GPL-3.0-or-later
//! The services every guest has, kept running.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

/// What runs in a guest, as far as it is installed.
const SERVICES: [&str; 2] = ["/usr/lib/qubes/qrexec-agent", "/usr/lib/bulkhead/session"];
/// How long to wait before a service that ended is started again.
const DELAY: Duration = Duration::from_millis(100);
/// The longest such wait; it doubles with each quick end.
const DELAY_MAX: Duration = Duration::from_secs(5);
/// A service that lasted this long is not a failing one.
const LASTING: Duration = Duration::from_secs(10);

/// The guest's services.
pub struct Services {
    all: Vec<Service>,
    wanted: bool,
}

struct Service {
    program: &'static str,
    state: State,
    delay: Duration,
}

#[derive(Clone, Copy)]
enum State {
    Unwanted,
    Due(Instant),
    Running { process: Pid, since: Instant },
}

impl Services {
    /// None of them is running or wanted.
    pub fn new() -> Self {
        let service = |program| Service {
            program,
            state: State::Unwanted,
            delay: DELAY,
        };
        let installed = SERVICES.into_iter().filter(|path| Path::new(path).exists());
        Self {
            all: installed.map(service).collect(),
            wanted: false,
        }
    }

    /// From now on each is to run.
    pub fn wanted(&mut self, now: Instant) {
        self.wanted = true;
        for service in &mut self.all {
            if matches!(service.state, State::Unwanted) {
                service.state = State::Due(now);
            }
        }
    }

    /// From now on none is started.
    pub fn unwanted(&mut self) {
        self.wanted = false;
        for service in &mut self.all {
            if matches!(service.state, State::Due(_)) {
                service.state = State::Unwanted;
            }
        }
    }

    /// Starts those that are due and says whether there were any.
    pub fn start_due(&mut self, now: Instant) -> bool {
        let due = |service: &&mut Service| matches!(service.state, State::Due(at) if at <= now);
        let mut any = false;
        for service in self.all.iter_mut().filter(due) {
            any = true;
            service.state = match start(service.program) {
                Ok(process) => State::Running {
                    process,
                    since: now,
                },
                Err(error) => {
                    eprintln!("{}: {error}", service.program);
                    State::Due(now + service.next_delay())
                }
            };
        }
        any
    }

    /// When the next one is due.
    pub fn next_due(&self) -> Option<Instant> {
        let due = |service: &Service| match service.state {
            State::Due(at) => Some(at),
            State::Unwanted | State::Running { .. } => None,
        };
        self.all.iter().filter_map(due).min()
    }

    /// A process ended; if it was a service that is wanted, it is due again.
    pub fn ended(&mut self, ended: Pid, now: Instant) {
        for service in &mut self.all {
            if let State::Running { process, since } = service.state
                && process == ended
            {
                if !self.wanted {
                    service.state = State::Unwanted;
                    continue;
                }
                if now - since >= LASTING {
                    service.delay = DELAY;
                }
                eprintln!("{} ended, and is started again", service.program);
                service.state = State::Due(now + service.next_delay());
            }
        }
    }
}

impl Service {
    fn next_delay(&mut self) -> Duration {
        let delay = self.delay;
        self.delay = (delay * 2).min(DELAY_MAX);
        delay
    }
}

/// Starts a program whose output goes to the console.
fn start(program: &str) -> io::Result<Pid> {
    let console = || io::stderr().as_fd().try_clone_to_owned().map(Stdio::from);
    let child = Command::new(program)
        .stdin(Stdio::null())
        .stdout(console()?)
        .stderr(console()?)
        .spawn()?;
    // The reaper collects it.
    i32::try_from(child.id())
        .map(Pid::from_raw)
        .map_err(io::Error::other)
}
