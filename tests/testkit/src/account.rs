// SPDX-License-Identifier: GPL-3.0-or-later
//! What is there besides what should be: processes, mounts, loop devices, files of guests.

use std::fmt;
use std::fs;
use std::path::Path;

use bulkhead_types::Layout;

use crate::processes::Process;

/// What stayed behind. Empty is what every test wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers(pub Vec<String>);

impl Leftovers {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// Takes account of an installation in which no guest should run: any process whose program
/// is not in `daemons`, any mount or loop device below the root, and what guests leave in the run-time
/// folders is left over.
pub fn account(layout: &Layout, processes: &[Process], daemons: &[&str]) -> Leftovers {
    let mut left = Vec::new();
    for process in processes {
        if !daemons.contains(&process.program()) {
            left.push(format!("process {}: {}", process.id, process.command));
        }
    }
    let root = layout.root().display().to_string();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for mount in mounts.lines().filter(|line| line.contains(&root)) {
        left.push(format!("mount: {mount}"));
    }
    for entry in fs::read_dir("/sys/block").into_iter().flatten().flatten() {
        let file = fs::read_to_string(entry.path().join("loop/backing_file")).unwrap_or_default();
        if file.starts_with(&root) {
            left.push(format!("loop device: {} of {file}", entry.path().display()));
        }
    }
    let (guests, notify) = (
        layout.runtime().join("guests"),
        layout.runtime().join("notify"),
    );
    for folder in [
        guests,
        notify,
        layout.qrexec_dir(),
        layout.local_vchan_dir(),
    ] {
        for name in names(&folder) {
            left.push(format!("file: {}", folder.join(name).display()));
        }
    }
    Leftovers(left)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        // Not of a guest: what the back end itself remembers.
        .filter(|name| !name.starts_with('.'))
        .collect()
}
