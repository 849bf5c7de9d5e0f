// SPDX-License-Identifier: GPL-3.0-or-later
//! What the story needs from the machine it is told on.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Picture;

/// A command for dom0, as the user of its desktop would give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments; the program is looked up in dom0's `PATH`.
    pub argv: Vec<String>,
    /// What the program reads; then its standard input ends.
    pub stdin: Vec<u8>,
    /// After this long the command counts as hung and the machine kills it.
    pub limit: Duration,
}

impl Command {
    /// A command without input.
    pub fn new<I, S>(argv: I, limit: Duration) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: Vec::new(),
            limit,
        }
    }

    /// The same command reading `bytes`.
    pub fn reading(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// The command in one line, for a transcript.
    pub fn line(&self) -> String {
        self.argv.join(" ")
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "look at the exit code or the output"]
pub struct Output {
    /// The exit code; 128 and the signal's number when a signal ended it.
    pub code: i32,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// A command that was started and not yet finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(pub u64);

/// A machine with an installation on it and a desktop in its dom0.
///
/// Several commands may run at once: the story watches windows while a guest's command
/// waits for its viewer.
pub trait Machine {
    /// What this machine is, for the transcript: `local back end`, `Xen 4.20 in QEMU` …
    fn name(&self) -> String;

    /// How long one step may take before it counts as hung.
    fn patience(&self) -> Duration;

    /// The folder in dom0 with what the template builder made, for `bulkhead template install`;
    /// absent when the template is there already.
    fn template_folder(&self) -> Option<String>;

    /// Starts a command in dom0, with `DISPLAY` naming its desktop.
    fn start(&mut self, command: &Command) -> anyhow::Result<RunId>;

    /// Waits for a command's end. An error when its limit passes or the machine is lost.
    fn finish(&mut self, run: RunId) -> anyhow::Result<Output>;

    /// Runs a command from start to end.
    fn run(&mut self, command: &Command) -> anyhow::Result<Output> {
        let run = self.start(command)?;
        self.finish(run)
    }

    /// The desktop as its user sees it now.
    fn screenshot(&mut self) -> anyhow::Result<Picture>;

    /// Facts for the figures of the transcript, such as `memory of dom0` = `512 MiB`.
    fn figures(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        Ok(BTreeMap::new())
    }
}
