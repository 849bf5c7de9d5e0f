// SPDX-License-Identifier: GPL-3.0-or-later
//! The Debian packages that building, trying and testing need.

use std::io::{IsTerminal, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::progress::Progress;

/// What building and booting the box needs.
pub const TRY: &[&str] = &[
    "busybox-static",
    "ca-certificates",
    "debian-archive-keyring",
    "e2fsprogs",
    "gcc",
    "gzip",
    "kmod",
    "libc6-dev",
    "libgtk-4-dev",
    "libpam0g-dev",
    "mmdebstrap",
    "pkg-config",
    "qemu-system-x86",
    "uidmap",
    "xfsprogs",
    "xz-utils",
    "zstd",
];

/// What the tests need beyond [`TRY`]: headers to hold numbers against, and the programs
/// that a guest of the local back end and its display use.
pub const TEST: &[&str] = &[
    "at-spi2-core",
    "bubblewrap",
    "dbus-daemon",
    "desktop-file-utils",
    "fish",
    "fonts-dejavu-core",
    "less",
    "libxen-dev",
    "linux-libc-dev",
    "mount",
    "mupdf",
    "openbox",
    "systemd",
    "util-linux",
    "x11-xkb-utils",
    "xfonts-base",
    "xterm",
    "xvfb",
    "zsh",
];

/// Installs what of the packages is missing, asking first when somebody else than root is there
/// to be asked.
pub fn install(progress: &mut Progress, packages: &[&[&str]]) -> anyhow::Result<()> {
    let missing: Vec<&str> = packages
        .concat()
        .into_iter()
        .filter(|package| !is_installed(package))
        .collect();
    if missing.is_empty() {
        progress.say("all Debian packages are there");
        return Ok(());
    }
    let names = missing.join(" ");
    let root = is_root()?;
    if !root && std::io::stdin().is_terminal() {
        print!("These Debian packages are missing: {names}\nInstall them with sudo? [Y/n] ");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "" | "y" | "Y" | "yes") {
            bail!("packages are missing; install them yourself: apt-get install {names}");
        }
    }
    progress.step(&format!("installing {names}"), |progress| {
        // A first try without new lists saves the time when they are fresh.
        if apt_get(root, &["install"], &missing, progress).is_err() {
            apt_get(root, &["update"], &[], progress)
                .context("the package lists cannot be fetched; is the network there?")?;
            apt_get(root, &["install"], &missing, progress)?;
        }
        Ok(())
    })
}

fn apt_get(
    root: bool,
    verb: &[&str],
    packages: &[&str],
    progress: &Progress,
) -> anyhow::Result<()> {
    let mut command = if root {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.arg("apt-get");
        sudo
    };
    command
        .args(["-q", "-y", "--no-install-recommends"])
        // Something else may be installing just now, such as the nightly upgrades.
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .args(verb)
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null());
    progress.run(&mut command)
}

fn is_installed(package: &str) -> bool {
    let query = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output();
    query.is_ok_and(|answer| answer.stdout == b"installed")
}

fn is_root() -> anyhow::Result<bool> {
    let answer = Command::new("id").arg("-u").output().context("id -u")?;
    Ok(answer.stdout.trim_ascii() == b"0")
}
