// SPDX-License-Identifier: GPL-3.0-or-later
//! Boots the box and runs the cases, for trying them alone.
#![forbid(unsafe_code)]

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use bulkhead_box::{Machine, setup};
use template_builder::Cache;

fn main() -> anyhow::Result<()> {
    let begun = Instant::now();
    let progress = |text: &str| eprintln!("{:6.1} s  {text}", begun.elapsed().as_secs_f32());
    let programs = std::env::current_exe().context("where am I")?;
    let programs = programs.parent().unwrap_or(Path::new("."));
    let options = setup::prepare(&Cache::of_user(), programs, &progress)?;
    progress("booting");
    let machine = Machine::boot(&options)?;
    machine.await_path("/run/box/xen", Duration::from_secs(180))?;
    progress("Xen is ready");
    let mut failed = 0;
    vchan_interop::run(&machine, programs, &mut |case| {
        failed += usize::from(case.failure.is_some());
        progress(&case.to_string());
    })?;
    machine.power_off()?;
    anyhow::ensure!(failed == 0, "{failed} cases failed");
    Ok(())
}
