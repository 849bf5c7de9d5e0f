// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo xtask fuzz`: lets libFuzzer search for inputs that break what reads hostile bytes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::checkout;
use crate::progress::Progress;

/// Runs every target whose name holds a text, each for so many seconds on one thread, and says how
/// much each has tried and seen.
///
/// What is found on the way stays below `target/fuzz`, so that a later run goes on from it; the
/// seeds in the tree are read and left as they are.
pub fn run(progress: &mut Progress, name: Option<&str>, seconds: u32) -> anyhow::Result<()> {
    let programs = checkout().join("tests/fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in fs::read_dir(&programs).context("cannot list the fuzz targets")? {
        let path = entry?.path();
        let target = path.file_stem().unwrap_or_default().to_string_lossy();
        if name.is_none_or(|name| target.contains(name)) {
            targets.push(target.into_owned());
        }
    }
    targets.sort();
    if targets.is_empty() {
        bail!("no fuzz target has that text in its name");
    }
    installed(progress)?;
    let mut broken = Vec::new();
    for target in &targets {
        let outcome = progress.step(target, |progress| {
            let figures = search(&mut fuzz(target, seconds)?)?;
            progress.say(&format!("{target}: {figures}"));
            Ok(())
        });
        if let Err(error) = outcome {
            progress.say(&format!("{error:#}"));
            broken.push(target.as_str());
        }
    }
    match broken.is_empty() {
        true => Ok(()),
        false => bail!(
            "broken: {}; the inputs are in {}",
            broken.join(", "),
            place().join("broken").display()
        ),
    }
}

/// Where everything lies that a run makes.
fn place() -> PathBuf {
    checkout().join("target/fuzz")
}

fn installed(progress: &Progress) -> anyhow::Result<()> {
    let mut version = Command::new("cargo");
    version.args(["+nightly", "fuzz", "--version"]);
    version.stdout(Stdio::null());
    progress
        .run(&mut version)
        .context("fuzzing needs `rustup toolchain install nightly` and `cargo install cargo-fuzz`")
}

fn fuzz(target: &str, seconds: u32) -> anyhow::Result<Command> {
    let (found, broken) = (place().join(target), place().join("broken").join(target));
    for folder in [&found, &broken] {
        fs::create_dir_all(folder).context("cannot make a place for what is found")?;
    }
    let seeds = Path::new("tests/fuzz/corpus").join(target);
    let mut command = Command::new("cargo");
    command.current_dir(checkout());
    command.args(["+nightly", "fuzz", "run", "--fuzz-dir", "tests/fuzz"]);
    command.arg("--target-dir").arg(place().join("build"));
    command.arg(target).args([&found, &seeds]);
    command.args(["--", "-timeout=10", "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-artifact_prefix={}/", broken.display()));
    Ok(command)
}

/// How much a run has tried, and how much of the program it has seen.
#[derive(Default)]
struct Figures {
    executions: u64,
    edges: u64,
}

impl Figures {
    /// Reads a line of libFuzzer's.
    fn read(&mut self, line: &str) {
        let number = |word: Option<&str>| word.and_then(|word| word.parse().ok());
        let after = |mark| line.split_once(mark).map(|(_, rest)| rest.trim_start());
        let first = |rest: &'static str| after(rest).and_then(|rest| rest.split(' ').next());
        if let Some(edges) = number(first(" cov: ")) {
            self.edges = edges;
        }
        if let Some(executions) = number(first("stat::number_of_executed_units:")) {
            self.executions = executions;
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { executions, edges } = self;
        write!(f, "{executions} executions, {edges} edges")
    }
}

/// Runs libFuzzer; what it says is shown where it is no mere progress.
fn search(command: &mut Command) -> anyhow::Result<Figures> {
    let command = command.stdin(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start cargo")?;
    let output = child.stderr.take().context("its output is not piped")?;
    let mut figures = Figures::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        figures.read(&line);
        if !line.starts_with('#') && !line.starts_with("\tNEW_FUNC") {
            eprintln!("{line}");
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("libFuzzer ended with {status}");
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_is_understood() {
        let mut figures = Figures::default();
        for line in [
            "#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 45Mb",
            "#4096\tpulse  cov: 340 ft: 700 corp: 30/2Kb exec/s: 2048 rss: 60Mb",
            "Done 4097 runs in 2 second(s)",
            "stat::number_of_executed_units: 4097",
        ] {
            figures.read(line);
        }
        assert_eq!(figures.to_string(), "4097 executions, 340 edges");
    }
}
