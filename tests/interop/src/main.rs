// SPDX-License-Identifier: GPL-3.0-or-later
//! Boots the box and runs the cases, for trying them alone: with images built from this
//! checkout, or with those that are named.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use bulkhead_box::qemu::Display;
use bulkhead_box::{Machine, Options, disk};
use template_builder::{Builder, Cache, Recipe};

fn main() -> anyhow::Result<()> {
    let begun = Instant::now();
    let progress = |text: &str| eprintln!("{:6.1} s  {text}", begun.elapsed().as_secs_f32());
    let programs = std::env::current_exe().context("where am I")?;
    let programs = programs.parent().unwrap_or(Path::new("."));
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (dom0, data) = match arguments.as_slice() {
        [dom0, data] => (dom0.clone(), data.clone()),
        [] => images(programs, &progress)?,
        _ => anyhow::bail!("usage: vchan-interop [FOLDER-OF-DOM0-IMAGE DATA-DISK]"),
    };
    progress("booting");
    let machine = Machine::boot(&Options {
        dom0,
        data,
        memory: 4096,
        dom0_memory: 1536,
        display: Display::Headless,
    })?;
    machine.await_path("/run/box/xen", Duration::from_secs(180))?;
    progress("Xen is ready");
    let template = "/var/lib/bulkhead/import/debian-13-minimal";
    let cases = vchan_interop::run(&machine, programs, template, &mut |case| {
        progress(&case.to_string())
    })?;
    machine.power_off()?;
    let failed = cases.iter().filter(|case| case.failure.is_some()).count();
    anyhow::ensure!(failed == 0, "{failed} of {} cases failed", cases.len());
    Ok(())
}

/// Builds what is not in the cache yet.
fn images(programs: &Path, progress: &(dyn Fn(&str) + Sync)) -> anyhow::Result<(PathBuf, PathBuf)> {
    let cache = Cache::of_user();
    let builder = Builder {
        cache: &cache,
        programs,
        progress,
    };
    let recipes = Path::new("templates/recipes");
    let guest = builder.build(&Recipe::read(&recipes.join("debian-13-minimal.toml"))?)?;
    let dom0 = builder.build(&Recipe::read(&recipes.join("box-dom0.toml"))?)?;
    let data = disk::with_templates(&cache, &[("debian-13-minimal", &guest)], progress)?;
    Ok((dom0.folder, data))
}
