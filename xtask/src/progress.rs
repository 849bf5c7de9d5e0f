// SPDX-License-Identifier: GPL-3.0-or-later
//! What is being done, and how long it took.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, bail};

use crate::checkout;

/// A clock and a voice: one line when a step begins, one when it is done.
pub struct Progress {
    begun: Instant,
}

impl Progress {
    /// Starts the clock.
    pub fn start() -> Self {
        Self {
            begun: Instant::now(),
        }
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f32 {
        self.begun.elapsed().as_secs_f32()
    }

    /// Says something, with the time since the start.
    pub fn say(&self, text: &str) {
        println!("[{:7.1} s] {text}", self.seconds());
    }

    /// Does one step and says how long it took.
    pub fn step<T>(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Self) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.say(&format!("{name} …"));
        let begun = Instant::now();
        let result = work(self).with_context(|| format!("{name} failed"))?;
        self.say(&format!("{name}: {:.1} s", begun.elapsed().as_secs_f32()));
        Ok(result)
    }

    /// Runs a command in the checkout, showing what it prints; it has to succeed.
    pub fn run(&self, command: &mut Command) -> anyhow::Result<()> {
        let text = format!("{command:?}");
        let status = command
            .current_dir(checkout())
            .stdin(Stdio::null())
            .status()
            .with_context(|| format!("{text} cannot be started"))?;
        if !status.success() {
            bail!("{text} ended with {status}");
        }
        Ok(())
    }

    /// Runs a command in the checkout and hands each line it prints on, besides showing it.
    /// Returns whether it succeeded.
    pub fn run_listening(
        &self,
        command: &mut Command,
        mut listen: impl FnMut(&str),
    ) -> anyhow::Result<bool> {
        let text = format!("{command:?}");
        let mut child = command
            .current_dir(checkout())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{text} cannot be started"))?;
        let output = child.stdout.take().context("its output is not piped")?;
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            println!("{line}");
            listen(&line);
        }
        Ok(child.wait()?.success())
    }
}

/// A cargo command, of the cargo that runs this program.
pub fn cargo(arguments: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments);
    command
}
