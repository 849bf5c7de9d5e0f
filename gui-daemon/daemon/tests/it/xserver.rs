// SPDX-License-Identifier: GPL-3.0-or-later
//! X servers and other programs that end with the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

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
        let output = program.0.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "{command:?} has ended");
        (program, line)
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.0.id() as i32);
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// The processes that it started and that still run.
    pub fn children(&self) -> Vec<nix::unistd::Pid> {
        let pid = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap();
        let pids = children.split_whitespace().map(|pid| pid.parse().unwrap());
        pids.map(nix::unistd::Pid::from_raw).collect()
    }

    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An X server without a screen, on a display that was free.
pub struct XServer {
    _program: Program,
    pub display: String,
}

impl XServer {
    pub fn start(size: &str) -> Self {
        let screen = format!("{size}x24");
        let (program, number) = Program::start_ready(Command::new("Xvfb").args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            &screen,
            "-nolisten",
            "tcp",
            "-noreset",
        ]));
        Self {
            _program: program,
            display: format!(":{}", number.trim()),
        }
    }
}
