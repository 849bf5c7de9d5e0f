// SPDX-License-Identifier: GPL-3.0-or-later
//! The box by hand: boots it and does what its input says, for trying things out.
//!
//! Each line is a script for dom0's shell, except `:put FROM TO` (copies a file or program of the
//! host into dom0), `:get FROM TO`, `:shot FILE.png` (the screen) and `:story` (plays it).
//! `bulkhead-box FOLDER` takes our programs from FOLDER instead of its own.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use bulkhead_box::{Machine, Run, StoryMachine, setup};
use template_builder::Cache;

/// How long a script may take.
const PATIENCE: Duration = Duration::from_secs(600);

fn main() -> anyhow::Result<()> {
    let begun = Instant::now();
    let progress = |text: &str| eprintln!("{:6.1} s  {text}", begun.elapsed().as_secs_f32());
    let programs = match std::env::args_os().nth(1) {
        Some(folder) => PathBuf::from(folder),
        None => {
            let own = std::env::current_exe().context("cannot tell where this program lies")?;
            own.parent().unwrap_or(Path::new(".")).to_owned()
        }
    };
    let options = setup::prepare(&Cache::of_user(), &programs, &progress)?;
    progress("booting");
    let mut machine = Machine::boot(&options)?;
    progress("dom0 answers");
    machine.await_path("/run/box/xen", Duration::from_secs(120))?;
    progress("Xen is ready");
    machine.await_path("/run/box/desktop", Duration::from_secs(120))?;
    progress("the desktop is up");
    for line in std::io::stdin().lines() {
        if let Err(error) = act(&mut machine, &line?) {
            println!("error: {error:#}");
        }
        progress("done");
    }
    machine.power_off()?;
    progress("powered off");
    Ok(())
}

fn act(machine: &mut Machine, line: &str) -> anyhow::Result<()> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        [":put", from, to] => Ok(machine.put_file(Path::new(from), to, 0o755)?),
        [":get", from, to] => Ok(std::fs::write(to, machine.get(from)?)?),
        [":shot", path] => Ok(machine.screenshot(Path::new(path))?),
        [":story"] => {
            let mut machine = StoryMachine::new(machine, setup::TEMPLATE);
            let transcript = e2e::play(&mut machine, &mut |step| print!("{step}"));
            println!("{:#?}", transcript.figures);
            Ok(())
        }
        _ => {
            let output = machine.run(Run::script(line).timeout(PATIENCE))?;
            print!("{}", output.all());
            println!("ended with {}", output.code);
            Ok(())
        }
    }
}
