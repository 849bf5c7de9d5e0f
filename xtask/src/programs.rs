// SPDX-License-Identifier: GPL-3.0-or-later
//! Our programs, each built as it serves best.
//!
//! A call is a process, or three. Most of what a small program takes to start on a virtual machine is
//! glibc asking the processor about itself, which the hypervisor has to answer; musl does not ask. So
//! the programs that live for one call are linked with it where the toolchain can do that, and so is
//! the agent, which starts itself anew for each service that another user runs.
//!
//! Linking glibc into the program does not help much: it asks all the same. A toolchain without the
//! library for musl builds everything with glibc, says so, and what it builds works as well.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::checkout;
use crate::progress::{Progress, cargo};

/// Where benches and the box look for the folder that [`gather`] makes.
pub const VARIABLE: &str = "BULKHEAD_PROGRAMS";

/// What needs headers of the system, and is left out of the workspace's own build for that.
pub const WITH_GTK: [&str; 4] = ["--package", "bulkhead-prompt", "--features", "gtk"];

/// The packages whose programs live for one call.
const SHORT_LIVED: [&str; 3] = ["qrexec-client", "qrexec-agent", "bulkhead-files"];

/// Builds everything and gathers it in one folder.
pub fn gather(progress: &mut Progress) -> anyhow::Result<PathBuf> {
    compile(progress, "compiling the programs", &["--release"])?;
    progress.step("compiling the prompt, with GTK", |progress| {
        let build = ["build", "--quiet", "--release", "--bins"];
        progress.run(cargo(&build).args(WITH_GTK))
    })?;
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let folder = checkout().join("target/programs");
    fs::create_dir_all(&folder)?;
    collect(&checkout().join("target/release"), &folder)?;
    if !can_build_for(&target)? {
        progress.say(&format!(
            "all programs are linked with glibc, so that calls take longer than they could: \
             `rustup target add {target}` helps"
        ));
        return Ok(folder);
    }
    let name = format!("compiling what lives for one call, for {target}");
    progress.step(&name, |progress| {
        let mut command = cargo(&["build", "--quiet", "--release", "--bins"]);
        let packages = SHORT_LIVED.map(|package| ["--package", package]);
        progress.run(
            command
                .args(packages.as_flattened())
                .args(["--target", &target]),
        )
    })?;
    let built = checkout().join("target").join(&target).join("release");
    collect(&built, &folder)?;
    Ok(folder)
}

/// Compiles the programs of every crate, with further arguments for cargo.
pub fn compile(progress: &mut Progress, step: &str, with: &[&str]) -> anyhow::Result<()> {
    let everything = ["build", "--quiet", "--workspace", "--bins"];
    progress.step(step, |progress| progress.run(cargo(&everything).args(with)))
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
