// SPDX-License-Identifier: GPL-3.0-or-later
//! What processes hold, so that a test can say that nothing leaks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::fixture::Fixture;

/// Far above what it takes for a process to clear up after a call, and far below what an agent waits
/// for a caller of whom it has heard nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much a process may grow under any flood.
pub const GROWTH_MAX: u64 = 10 * 1024;

/// How often something is done: few times, or as often as this variable says.
pub fn times(variable: &str, few: usize) -> usize {
    let asked = std::env::var(variable);
    asked.ok().and_then(|n| n.parse().ok()).unwrap_or(few)
}

/// What can leak: descriptors, threads and children of each daemon and agent, and names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    processes: BTreeMap<String, [usize; 3]>,
    names: Vec<String>,
}

fn entries(path: impl AsRef<Path>) -> usize {
    fs::read_dir(path).map_or(0, Iterator::count)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// All children, ended ones that nobody waited for among them.
fn children(pid: u32) -> usize {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    let lists = tasks.into_iter().flatten().flatten();
    let lists = lists.map(|task| fs::read_to_string(task.path().join("children")));
    lists
        .map(|list| list.unwrap_or_default().split_whitespace().count())
        .sum()
}

impl Account {
    pub fn of(fixture: &Fixture) -> Self {
        let processes = fixture.running().into_iter().map(|(name, pid)| {
            let proc = format!("/proc/{pid}");
            let held = [
                entries(format!("{proc}/fd")),
                entries(format!("{proc}/task")),
                children(pid),
            ];
            (name, held)
        });
        Self {
            processes: processes.collect(),
            names: names(&fixture.layout().local_vchan_dir()),
        }
    }

    /// Whether nothing is there that was not there before. What was just being closed then may be
    /// missing now.
    fn is_within(&self, before: &Self) -> bool {
        let held = self.processes.iter().all(|(name, held)| {
            let before = before.processes.get(name);
            before.is_some_and(|before| held.iter().zip(before).all(|(now, then)| now <= then))
        });
        held && self.names.iter().all(|name| before.names.contains(name))
    }

    /// Waits until there is no more than there was, and fails when that does not come.
    pub fn comes_back(&self, fixture: &Fixture) {
        self.comes_back_as(fixture, |account| account);
    }

    /// The same, names apart: who is killed cannot take back the name under which it waited.
    pub fn processes_come_back(&self, fixture: &Fixture) {
        self.comes_back_as(fixture, |mut account| {
            account.names.clear();
            account
        });
    }

    fn comes_back_as(&self, fixture: &Fixture, part: impl Fn(Self) -> Self) {
        let wanted = part(self.clone());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = part(Self::of(fixture));
            if now.is_within(&wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{wanted:#?} became {now:#?}");
            // Nothing says when a process has closed a descriptor.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What a process holds in memory, in KiB.
pub fn resident(fixture: &Fixture, name: &str) -> u64 {
    let pid = fixture.running()[name];
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.unwrap().split_whitespace().next();
    words.unwrap().parse().unwrap()
}
