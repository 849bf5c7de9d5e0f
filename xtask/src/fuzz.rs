// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo xtask fuzz`: lets libFuzzer search for inputs that break what reads hostile bytes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::checkout;
use crate::progress::Progress;

/// Runs every target whose name holds a text, each for so many seconds on one thread.
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
        let outcome = progress.step(target, |progress| progress.run(&mut fuzz(target, seconds)?));
        if outcome.is_err() {
            broken.push(target.as_str());
        }
    }
    match broken.is_empty() {
        true => Ok(()),
        false => bail!(
            "broken: {}; the inputs are in tests/fuzz/artifacts",
            broken.join(", ")
        ),
    }
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
    let found = checkout().join("target/fuzz").join(target);
    fs::create_dir_all(&found).context("cannot make a place for what is found")?;
    let seeds = Path::new("tests/fuzz/corpus").join(target);
    let mut command = Command::new("cargo");
    command.args([
        "+nightly",
        "fuzz",
        "run",
        "--fuzz-dir",
        "tests/fuzz",
        target,
    ]);
    command.args([&found, &seeds]);
    command.args(["--", "-timeout=10", "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}"));
    Ok(command)
}
