// SPDX-License-Identifier: GPL-3.0-or-later
//! The box as a machine of the story.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use e2e::{Command, Output, Picture, RunId};

use crate::{Machine, Run, Started};

/// How long one step may take: starting a guest under emulation takes half a minute when the
/// host is busy.
const PATIENCE: Duration = Duration::from_secs(240);

/// How long a command may stay open in dom0: a terminal is to be there until the story ends.
const OPEN: Duration = Duration::from_secs(3600);

/// Prints each of our daemons with what it holds in memory, and what of that no other process
/// has mapped too, in KiB.
const MEMORY: &str = "for id in $(pgrep -x 'bulkheadd|policyd|qrexec-daemon|gui-daemon|gui-session|qrexec-session'); do \
    echo $(cat /proc/$id/comm) $(awk '/^Rss/ {all = $2} /^Private/ {own += $2} \
    END {print all, own}' /proc/$id/smaps_rollup); done";

/// Plays the story on a booted box.
pub struct StoryMachine<'a> {
    machine: &'a mut Machine,
    template: String,
    running: BTreeMap<RunId, (Started, Instant)>,
    started: u64,
}

impl<'a> StoryMachine<'a> {
    /// The story on `machine`, whose data disk has the template `template`.
    pub fn new(machine: &'a mut Machine, template: &str) -> Self {
        Self {
            machine,
            template: format!("/var/lib/bulkhead/import/{template}"),
            running: BTreeMap::new(),
            started: 0,
        }
    }
}

impl e2e::Machine for StoryMachine<'_> {
    fn name(&self) -> String {
        "Xen in QEMU".into()
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn template_folder(&self) -> Option<String> {
        Some(self.template.clone())
    }

    fn start(&mut self, command: &Command) -> anyhow::Result<RunId> {
        let argv: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        let run = Run::new(&argv).stdin(command.stdin.clone()).timeout(OPEN);
        let started = self.machine.start(run)?;
        self.started += 1;
        let id = RunId(self.started);
        self.running
            .insert(id, (started, Instant::now() + command.limit));
        Ok(id)
    }

    fn finish(&mut self, run: RunId) -> anyhow::Result<Output> {
        let running = self.running.remove(&run);
        let (started, end) = running.context("this command was finished before")?;
        let left = end.saturating_duration_since(Instant::now());
        let output = self.machine.finish(&started, left)?;
        Ok(Output {
            code: output.code,
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }

    fn screenshot(&mut self) -> anyhow::Result<Picture> {
        // What was refused a moment ago is told in front of all windows, and goes by itself.
        let notice = "xdotool search --onlyvisible --name '^Policy notices'";
        let wait = format!("while {notice} >/dev/null; do sleep 0.2; done");
        let _looked = self.machine.run(Run::script(&wait))?;
        let file = tempfile::NamedTempFile::new().context("no room for a picture")?;
        self.machine.screenshot_ppm(file.path())?;
        let bytes = std::fs::read(file.path()).context("the monitor left no picture")?;
        Ok(Picture::from_ppm(&bytes)?)
    }

    fn figures(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        let output = self.machine.run(Run::script(MEMORY))?;
        let mut figures = BTreeMap::new();
        for line in output.text().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [program, resident, own] = words[..] else {
                continue;
            };
            let (resident, own): (f64, f64) = (resident.parse()?, own.parse()?);
            let count = figures
                .keys()
                .filter(|name: &&String| name.contains(program));
            let name = format!("memory of {program} ({})", count.count() + 1);
            let shown = format!(
                "{:.1} MiB, of which {:.1} MiB are its own",
                resident / 1024.0,
                own / 1024.0
            );
            figures.insert(name, shown);
        }
        Ok(figures)
    }
}
