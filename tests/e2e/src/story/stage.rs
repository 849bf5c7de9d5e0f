// SPDX-License-Identifier: GPL-3.0-or-later
//! What the steps of the story are made of.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use bulkhead_admin::DomainSummary;
use bulkhead_types::Label;

use super::transcript::StepReport;
use crate::desktop::Window;
use crate::{Command, Machine, Output, Picture, RunId};

/// The machine, and what one step hands to the next.
pub(super) struct Stage<'m> {
    pub machine: &'m mut dyn Machine,
    seen: Vec<String>,
    /// Terminals that stay open until the story ends.
    pub open: Vec<RunId>,
    /// The call of `bulkhead-open`, and the window it led to.
    pub opening: Option<(RunId, Window)>,
    /// The desktop at the end.
    pub picture: Option<Picture>,
}

impl<'m> Stage<'m> {
    pub fn new(machine: &'m mut dyn Machine) -> Self {
        Self {
            machine,
            seen: Vec::new(),
            open: Vec::new(),
            opening: None,
            picture: None,
        }
    }

    /// Plays one step.
    pub fn tell(
        &mut self,
        name: &'static str,
        step: impl FnOnce(&mut Self) -> anyhow::Result<()>,
    ) -> StepReport {
        let began = Instant::now();
        let failure = step(self).err().map(|error| format!("{error:#}"));
        let seen = std::mem::take(&mut self.seen);
        StepReport {
            name,
            time: began.elapsed(),
            seen,
            failure,
        }
    }

    /// Writes down what was seen.
    pub fn note(&mut self, seen: impl Into<String>) {
        self.seen.push(seen.into());
    }

    /// A command with the machine's patience.
    pub fn command(&self, argv: &[&str]) -> Command {
        Command::new(argv.iter().copied(), self.machine.patience())
    }

    /// Runs a command in dom0, whatever its exit code.
    pub fn dom0(&mut self, argv: &[&str]) -> anyhow::Result<Output> {
        let command = self.command(argv);
        self.run(&command)
    }

    /// Runs a command, whatever its exit code.
    pub fn run(&mut self, command: &Command) -> anyhow::Result<Output> {
        self.machine
            .run(command)
            .with_context(|| format!("`{}`", command.line()))
    }

    /// Runs a command in dom0 that has to succeed; gives what it printed.
    pub fn succeed(&mut self, argv: &[&str]) -> anyhow::Result<String> {
        let output = self.dom0(argv)?;
        expect_success(&argv.join(" "), &output)?;
        Ok(output.text())
    }

    /// Runs a command in a guest, whatever its exit code.
    pub fn guest(&mut self, domain: &str, argv: &[&str]) -> anyhow::Result<Output> {
        self.dom0(&[&["bulkhead", "run", domain, "--"], argv].concat())
    }

    /// Runs a shell command in a guest that has to succeed; gives what it printed.
    pub fn shell(&mut self, domain: &str, script: &str) -> anyhow::Result<String> {
        self.succeed(&["bulkhead", "run", domain, "--", "sh", "-c", script])
    }

    /// Puts a file into a guest's home.
    pub fn put(&mut self, domain: &str, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let script = format!("cat > {name}");
        let argv = ["bulkhead", "run", domain, "--", "sh", "-c", &script];
        let command = self.command(&argv).reading(content);
        let output = self.run(&command)?;
        expect_success(&command.line(), &output)
    }

    /// All domains as `bulkhead ls` knows them.
    pub fn domains(&mut self) -> anyhow::Result<Vec<DomainSummary>> {
        let text = self.succeed(&["bulkhead", "ls", "--json"])?;
        serde_json::from_str(&text).with_context(|| format!("`bulkhead ls --json` printed {text}"))
    }

    /// One domain of [`Self::domains`].
    pub fn domain(&mut self, name: &str) -> anyhow::Result<Option<DomainSummary>> {
        Ok(self
            .domains()?
            .into_iter()
            .find(|domain| domain.name == name))
    }

    /// Waits for windows framed on all four sides in the colour of `label`.
    pub fn framed(
        &mut self,
        domain: Option<&str>,
        title: &str,
        label: Label,
    ) -> anyhow::Result<Vec<Window>> {
        let color = format!("{:06x}", label.color().rgb());
        let seconds = self.machine.patience().as_secs().to_string();
        let domain = domain.unwrap_or("-");
        let argv = ["desktop-probe", "framed", domain, title, &color, &seconds];
        // The probe has the better error; it must be the first to give up.
        let mut command = self.command(&argv);
        command.limit += Duration::from_secs(30);
        let output = self.run(&command)?;
        expect_success(&command.line(), &output)?;
        let windows: Vec<Window> = serde_json::from_slice(&output.stdout)?;
        let index = u32::from(label.index());
        for window in &windows {
            let Window { title, domain, .. } = window;
            let prefix = format!("[{domain}] ");
            ensure!(
                title.starts_with(&prefix),
                "expected a title that starts with {prefix:?}, not {title:?}"
            );
            let marked = window.label;
            ensure!(
                marked == index,
                "expected the window's label to be {index}, not {marked}"
            );
        }
        Ok(windows)
    }
}

/// Fails with the command's own words unless it succeeded.
pub(super) fn expect_success(line: &str, output: &Output) -> anyhow::Result<()> {
    if output.code != 0 {
        let said = [output.text(), output.complaint()].concat();
        bail!(
            "expected `{line}` to succeed; it ended with {} and said\n{said}",
            output.code
        );
    }
    Ok(())
}
