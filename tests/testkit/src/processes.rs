// SPDX-License-Identifier: GPL-3.0-or-later
//! The processes of this machine and who started whom, from `/proc`.

use std::collections::HashMap;
use std::fs;

/// One process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: i32,
    /// Its parent's id.
    pub parent: i32,
    /// Its command line, arguments separated by spaces.
    pub command: String,
}

impl Process {
    /// The file name of its program, as it was called.
    pub fn program(&self) -> &str {
        let path = self.command.split(' ').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }
}

/// A picture of all processes at one moment.
#[derive(Clone, Debug, Default)]
pub struct Processes(Vec<Process>);

impl Processes {
    /// Reads `/proc`. Ended processes that nobody waited for are left out.
    pub fn read() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self(ids.filter_map(read_one).collect())
    }

    /// Children, grandchildren and so on of `ancestor`, parents first.
    pub fn below(&self, ancestor: i32) -> Vec<Process> {
        let mut children: HashMap<i32, Vec<&Process>> = HashMap::new();
        for process in &self.0 {
            children.entry(process.parent).or_default().push(process);
        }
        let mut found = Vec::new();
        let mut open = vec![ancestor];
        while let Some(parent) = open.pop() {
            for child in children.remove(&parent).unwrap_or_default() {
                open.push(child.id);
                found.push(child.clone());
            }
        }
        found
    }
}

fn read_one(id: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The program's name stands in parentheses and may hold anything.
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    if state == "Z" {
        return None;
    }
    let command = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    Some(Process {
        id,
        parent,
        command: command.trim_end().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_finds_its_child_below_itself() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let own = std::process::id().cast_signed();
        let found = Processes::read().below(own);
        let child_id = child.id().cast_signed();
        child.kill().unwrap();
        child.wait().unwrap();
        let seen = found.iter().find(|process| process.id == child_id).unwrap();
        assert_eq!(seen.parent, own);
        assert!(
            Processes::read()
                .below(own)
                .iter()
                .all(|process| process.id != child_id)
        );
    }
}
