// SPDX-License-Identifier: GPL-3.0-or-later
//! Unsafe code lives in two folders; every other program and library forbids it.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::checkout;

/// The two folders whose crates may hold unsafe code.
const INSIDE: [&str; 2] = ["domain-manager/xen", "qrexec/vchan"];

/// What every crate root outside the fence has to say.
const FORBIDDEN: &str = "#![forbid(unsafe_code)]";

/// Fails, naming the file, when a crate root outside the fence does not forbid unsafe code.
/// The compiler does the rest.
pub fn unsafe_fence() -> anyhow::Result<()> {
    let mut open = Vec::new();
    let mut roots = Vec::new();
    for member in members()? {
        let inside = |folder: &&str| Path::new(&member).starts_with(folder);
        if !INSIDE.iter().any(inside) {
            crate_roots(&checkout().join(&member), &mut roots)?;
        }
    }
    for root in &roots {
        let text = std::fs::read_to_string(root).with_context(|| root.display().to_string())?;
        if !text.contains(FORBIDDEN) {
            open.push(root.display().to_string());
        }
    }
    if !open.is_empty() {
        bail!(
            "crate roots that do not say {FORBIDDEN}:\n  {}",
            open.join("\n  ")
        );
    }
    println!(
        "{} crate roots outside {} forbid unsafe code",
        roots.len(),
        INSIDE.join(" and ")
    );
    Ok(())
}

/// The folders listed as members in the workspace's manifest.
fn members() -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(checkout().join("Cargo.toml"))?;
    let list = text.split_once("members = [").map_or("", |(_, rest)| rest);
    let list = list.split_once(']').map_or("", |(list, _)| list);
    let members: Vec<String> = list
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    if members.is_empty() {
        bail!("Cargo.toml lists no members");
    }
    Ok(members)
}

/// The files that are compiled as crates of their own: libraries, programs, tests and benches.
fn crate_roots(package: &Path, roots: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for name in ["src/lib.rs", "src/main.rs"] {
        let root = package.join(name);
        if root.exists() {
            roots.push(root);
        }
    }
    for folder in ["src/bin", "tests", "benches"] {
        let Ok(entries) = std::fs::read_dir(package.join(folder)) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                roots.push(path);
            } else if path.join("main.rs").exists() {
                roots.push(path.join("main.rs"));
            }
        }
    }
    Ok(())
}
