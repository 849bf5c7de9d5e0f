// SPDX-License-Identifier: GPL-3.0-or-later
//! Boots the box and runs each line of its input in dom0's shell, for trying things out.
//! After each one `desktop.png` shows the screen.
#![forbid(unsafe_code)]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use bulkhead_box::qemu::Display;
use bulkhead_box::{Machine, Options, Run, disk};
use template_builder::{Builder, Cache, Recipe};

fn main() -> anyhow::Result<()> {
    let begun = Instant::now();
    let progress = |text: &str| eprintln!("{:6.1} s  {text}", begun.elapsed().as_secs_f32());
    let cache = Cache::of_user();
    let programs = std::env::current_exe().context("where am I")?;
    let builder = Builder {
        cache: &cache,
        programs: programs.parent().unwrap_or(Path::new(".")),
        progress: &progress,
    };
    let guest = builder.build(&Recipe::read(Path::new(
        "templates/recipes/debian-13-minimal.toml",
    ))?)?;
    let dom0 = builder.build(&Recipe::read(Path::new("templates/recipes/box-dom0.toml"))?)?;
    let data = disk::with_templates(&cache, &[("debian-13-minimal", &guest)], &progress)?;
    progress("booting");
    let mut machine = Machine::boot(&Options {
        dom0: dom0.folder,
        data,
        memory: 4096,
        dom0_memory: 1536,
        display: Display::Headless,
    })?;
    progress("dom0 answers");
    machine.await_path("/run/box/xen", Duration::from_secs(120))?;
    progress("Xen is ready");
    for line in std::io::stdin().lines() {
        let output = machine.run(Run::script(&line?).timeout(Duration::from_secs(300)))?;
        print!("{}", output.all());
        progress(&format!("ended with {}", output.code));
        machine.screenshot(Path::new("desktop.png"))?;
    }
    machine.power_off()?;
    progress("powered off");
    Ok(())
}
