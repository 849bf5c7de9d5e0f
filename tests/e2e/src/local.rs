// SPDX-License-Identifier: GPL-3.0-or-later
//! The story's machine on the local back end.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use testkit::{Fixture, Running};

use crate::desktop::Desktop;
use crate::{Command, Machine, Output, Picture, RunId};

/// An installation in a folder, whose guests are processes of this machine.
#[derive(Debug)]
pub struct LocalMachine {
    /// The installation.
    pub fixture: Fixture,
    running: BTreeMap<RunId, Running>,
    started: u64,
}

impl LocalMachine {
    /// A machine around an installation with a desktop.
    pub fn new(fixture: Fixture) -> Self {
        Self {
            fixture,
            running: BTreeMap::new(),
            started: 0,
        }
    }
}

impl Machine for LocalMachine {
    fn name(&self) -> String {
        "the local back end, whose guests are not isolated".into()
    }

    fn patience(&self) -> Duration {
        self.fixture.patience()
    }

    fn template_folder(&self) -> Option<String> {
        // Guests see this machine's own system, so there is nothing to install.
        Some(self.fixture.folder().display().to_string())
    }

    fn start(&mut self, command: &Command) -> anyhow::Result<RunId> {
        let argv: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        let process = self.fixture.command(&argv);
        let running = Running::start(process, command.stdin.clone(), command.limit)?;
        self.started += 1;
        let id = RunId(self.started);
        self.running.insert(id, running);
        Ok(id)
    }

    fn finish(&mut self, run: RunId) -> anyhow::Result<Output> {
        let running = self
            .running
            .remove(&run)
            .context("this command was finished before")?;
        let captured = running
            .finish()
            .map_err(|error| error.context(self.fixture.logs()))?;
        let testkit::Captured {
            code,
            stdout,
            stderr,
        } = captured;
        Ok(Output {
            code,
            stdout,
            stderr,
        })
    }

    fn screenshot(&mut self) -> anyhow::Result<Picture> {
        let display = self
            .fixture
            .display()
            .context("this machine has no desktop")?;
        Ok(Desktop::connect(Some(&display.name))?.screen()?)
    }

    fn figures(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut figures = BTreeMap::new();
        for process in self.fixture.processes() {
            let daemons = [
                "bulkheadd",
                "policyd",
                "qrexec-daemon",
                "qrexec-session",
                "gui-daemon",
                "gui-session",
            ];
            let Some(kib) = resident(process.id) else {
                continue;
            };
            if daemons.contains(&process.program()) {
                let name = format!("memory of {} ({})", process.program(), process.id);
                figures.insert(name, format!("{:.1} MiB", kib as f64 / 1024.0));
            }
        }
        Ok(figures)
    }
}

/// What a process holds in memory, in KiB.
fn resident(id: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}
