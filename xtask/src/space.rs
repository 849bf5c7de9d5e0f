// SPDX-License-Identifier: GPL-3.0-or-later
//! Room on the disk, looked at first: a full disk shows itself late, as a linker's crash.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};

const GIB: u64 = 1 << 30;

/// What the checks and tests fill from nothing, with room to spare: measured 5 GiB of compiled
/// code and 7 GiB of images.
const NEEDED: u64 = 14 * GIB;

/// What they fill when code and images are there already.
const NEEDED_AGAIN: u64 = 4 * GIB;

/// Fails unless the disk that holds the checkout has room for what is about to be made.
pub fn check(checkout: &Path) -> anyhow::Result<()> {
    let again = checkout.join("target/release").exists();
    let needed = if again { NEEDED_AGAIN } else { NEEDED };
    let free = free(checkout)?;
    ensure!(
        free >= needed,
        "the disk of {} has {} GiB free, and {} are needed for compiled code and images: \
         make room there",
        checkout.display(),
        free / GIB,
        needed / GIB,
    );
    Ok(())
}

/// Bytes that may still be written below a folder.
fn free(folder: &Path) -> anyhow::Result<u64> {
    let output = Command::new("df")
        .args(["--output=avail", "--block-size=1"])
        .arg(folder)
        .output()
        .context("df cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(Ok(bytes)) = text.lines().nth(1).map(|line| line.trim().parse()) else {
        bail!("df does not say how much room {} has", folder.display());
    };
    Ok(bytes)
}
