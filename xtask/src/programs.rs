// SPDX-License-Identifier: GPL-3.0-or-later
//! Our programs, each built as it serves best.
//!
//! A call is a process. Half of what a small program takes on a virtual machine is its library of C
//! asking the processor about itself, which the hypervisor has to answer; musl does not ask. So the
//! programs that make calls are linked with it where the toolchain can do that.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::checkout;
use crate::progress::{Progress, cargo};

/// The package whose programs live for one call.
const SHORT_LIVED: &str = "qrexec-client";

/// Builds everything and gathers it in one folder.
pub fn gather(progress: &mut Progress) -> anyhow::Result<PathBuf> {
    progress.step("compiling the programs", |progress| {
        progress.run(&mut cargo(&[
            "build",
            "--quiet",
            "--release",
            "--workspace",
            "--bins",
        ]))
    })?;
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let folder = checkout().join("target/programs");
    fs::create_dir_all(&folder)?;
    collect(&checkout().join("target/release"), &folder)?;
    if !can_build_for(&target)? {
        progress.say(&format!(
            "calls take longer than they could: `rustup target add {target}` helps"
        ));
        return Ok(folder);
    }
    progress.step("compiling the programs that make calls", |progress| {
        progress.run(&mut cargo(&[
            "build",
            "--quiet",
            "--release",
            "--package",
            SHORT_LIVED,
            "--bins",
            "--target",
            &target,
        ]))
    })?;
    let built = checkout().join("target").join(&target).join("release");
    collect(&built, &folder)?;
    Ok(folder)
}

/// Whether the toolchain has the standard library for `target`.
fn can_build_for(target: &str) -> anyhow::Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = std::process::Command::new(rustc)
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(checkout())
        .output()
        .context("cannot ask the compiler for its targets")?;
    let folder = String::from_utf8_lossy(&told.stdout).trim().to_owned();
    Ok(told.status.success() && Path::new(&folder).is_dir())
}

/// Puts the programs of one folder into another, in the place of what is there.
fn collect(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        let name = entry.file_name();
        let program = kind.is_file()
            && kind.permissions().mode() & 0o111 != 0
            && !name.to_string_lossy().contains('.');
        if !program {
            continue;
        }
        let place = to.join(&name);
        if place.exists() {
            fs::remove_file(&place)?;
        }
        fs::hard_link(entry.path(), &place)
            .with_context(|| format!("cannot make {}", place.display()))?;
    }
    Ok(())
}
