// SPDX-License-Identifier: GPL-3.0-or-later
//! `cargo xtask try`: real Xen, a desktop, framed windows and a disposable.

use std::process::Command;

use crate::checkout;
use crate::packages;
use crate::programs;
use crate::progress::Progress;
use crate::space;

/// What QEMU needs to show a window.
const WINDOW: &[&str] = &["qemu-system-gui"];

/// Builds everything and boots the box; what happens there is told by `box-try`.
pub fn run(progress: &mut Progress, headless: bool) -> anyhow::Result<()> {
    let display = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let headless = headless || !display;
    let window = if headless { &[][..] } else { WINDOW };
    space::check(&checkout())?;
    packages::install(progress, &[packages::TRY, window])?;
    let programs = programs::gather(progress)?;
    // It takes the programs for the images from where it lies.
    let mut command = Command::new(programs.join("box-try"));
    if headless {
        command.arg("--headless");
    }
    progress.step("the box", |progress| progress.run(&mut command))
}
