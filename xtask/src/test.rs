// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo xtask test`: every check and every test, and a count that leaves nothing out.

use std::process::Command;

use anyhow::bail;

use crate::checkout;
use crate::checks;
use crate::packages;
use crate::programs;
use crate::progress::{Progress, cargo};
use crate::space;

/// What the test runners said in their closing lines.
#[derive(Default)]
struct Count {
    passed: u32,
    failed: u32,
    ignored: u32,
    runs_failed: u32,
}

impl Count {
    /// Reads a closing line such as `test result: ok. 7 passed; 0 failed; 0 ignored; …`.
    fn listen(&mut self, line: &str) {
        let Some((_, counts)) = line
            .strip_prefix("test result: ")
            .and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for part in counts.split(';') {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                Some((number, "ignored")) => self.ignored += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }

    fn run(
        &mut self,
        progress: &mut Progress,
        name: &str,
        command: &mut Command,
    ) -> anyhow::Result<()> {
        let before = self.passed + self.failed;
        let succeeded = progress.step(name, |progress| {
            progress.run_listening(command, |line| self.listen(line))
        })?;
        if !succeeded {
            self.runs_failed += 1;
        }
        if self.passed + self.failed == before {
            bail!("{name} ran no test at all");
        }
        Ok(())
    }
}

/// Runs everything; fails when anything fails, or does not run.
pub fn run(progress: &mut Progress, without_box: bool) -> anyhow::Result<()> {
    space::check(&checkout())?;
    packages::install(progress, &[packages::TRY, packages::TEST])?;
    progress.step("formatting", |progress| {
        progress.run(&mut cargo(&["fmt", "--all", "--check"]))
    })?;
    progress.step("licences of all dependencies", |_| checks::licences())?;
    progress.step("the fence around unsafe code", |_| checks::unsafe_fence())?;
    progress.step("the size of what decides", |_| checks::core_size())?;
    progress.step("clippy", |progress| {
        let arguments = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--test",
            "on_xen",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ];
        progress.run(&mut cargo(&arguments))
    })?;
    progress.step("clippy, with GTK", |progress| {
        let arguments = ["--all-targets", "--quiet", "--", "-D", "warnings"];
        progress.run(cargo(&["clippy"]).args(programs::WITH_GTK).args(arguments))
    })?;
    programs::compile(progress, "compiling the programs that tests run", &[])?;

    let mut count = Count::default();
    let mut everything = cargo(&["test", "--workspace", "--no-fail-fast"]);
    count.run(
        progress,
        "tests of every crate, and the story on the local back end",
        &mut everything,
    )?;
    let mut prompt = cargo(&["test", "--no-fail-fast"]);
    prompt.args(programs::WITH_GTK);
    count.run(progress, "the prompt, on an X server", &mut prompt)?;
    if without_box {
        shout();
    } else {
        let programs = programs::gather(progress)?;
        let mut real_xen = cargo(&["test", "--workspace", "--test", "on_xen"]);
        real_xen.env(programs::VARIABLE, programs);
        count.run(progress, "the box: real Xen", &mut real_xen)?;
    }
    let Count {
        passed,
        failed,
        ignored,
        runs_failed,
    } = count;
    progress.say("done");
    println!("{passed} passed, {failed} failed, {ignored} skipped");
    if without_box {
        shout();
    }
    if failed + runs_failed > 0 {
        bail!("{failed} tests failed in {runs_failed} runs");
    }
    Ok(())
}

/// Prints the measured figures.
pub fn bench(progress: &mut Progress, name: Option<&str>) -> anyhow::Result<()> {
    packages::install(progress, &[packages::TRY, packages::TEST])?;
    let programs = programs::gather(progress)?;
    // By name: "all benches" would run every unit test's program too, for nothing.
    let mut command = cargo(&["bench", "--workspace", "--bench"]);
    command.arg(name.map_or_else(|| "*".to_owned(), |name| format!("*{name}*")));
    command.env(programs::VARIABLE, programs);
    progress.step("benches", |progress| progress.run(&mut command))
}

fn shout() {
    println!(
        "\n*** REAL XEN WAS LEFT OUT (--without-box) ***\n\
         *** vchan against libxenvchan, both back ends' conformance and the story on Xen were NOT tested ***\n"
    );
}
