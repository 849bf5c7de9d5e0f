// SPDX-License-Identifier: GPL-3.0-or-later
//! Programs of the build machine: run them, and say what went wrong.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use crate::BuildError;

/// How many of a failed program's last lines an error shows.
const TAIL: usize = 12;

/// Debian's package for a program that the builder runs.
fn package_of(tool: &str) -> &str {
    match tool {
        "mkfs.ext4" => "e2fsprogs",
        "mkfs.xfs" => "xfsprogs",
        "xz" => "xz-utils",
        "qemu-system-x86_64" => "qemu-system-x86",
        other => other,
    }
}

/// Runs `command` to its end and gives what it wrote to its standard output.
///
/// # Errors
/// [`BuildError::MissingTool`] with the package to install, [`BuildError::DiskFull`], or
/// [`BuildError::Tool`] with the last lines that it wrote.
pub fn output(command: &mut Command) -> Result<Vec<u8>, BuildError> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| not_started(&tool, source))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let mut said = output.stderr;
    said.extend_from_slice(&output.stdout);
    Err(failed(
        &tool,
        output.status,
        &String::from_utf8_lossy(&said),
    ))
}

/// Runs `command` to its end, and gives each line of its standard error to `each`.
pub fn watch(command: &mut Command, mut each: impl FnMut(&str)) -> Result<(), BuildError> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| not_started(&tool, source))?;
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr.take(1 << 26));
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line);
            each(text.trim_end());
            said.push_str(&text);
            line.clear();
        }
    }
    let status = child.wait().map_err(|source| not_started(&tool, source))?;
    if status.success() {
        return Ok(());
    }
    Err(failed(&tool, status, &said))
}

fn not_started(tool: &str, source: std::io::Error) -> BuildError {
    if source.kind() == std::io::ErrorKind::NotFound {
        return BuildError::MissingTool {
            tool: tool.into(),
            package: package_of(tool).into(),
        };
    }
    BuildError::Io {
        action: "run",
        path: tool.into(),
        source,
    }
}

fn failed(tool: &str, status: std::process::ExitStatus, said: &str) -> BuildError {
    if said.contains("No space left on device") {
        return BuildError::DiskFull {
            what: format!("what `{tool}` makes"),
        };
    }
    BuildError::Tool {
        tool: tool.into(),
        status: status.to_string(),
        tail: tail(said),
    }
}

/// The last lines of `text`, indented.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = lines.len().saturating_sub(TAIL);
    let lines: Vec<String> = lines[from..]
        .iter()
        .map(|line| format!("  {line}"))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let missing = not_started("mkfs.xfs", std::io::ErrorKind::NotFound.into());
        insta::assert_snapshot!(missing, @"`mkfs.xfs` is not installed: apt-get install xfsprogs");
    }

    #[test]
    fn a_failed_program_shows_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo one; echo two >&2; exit 3"]))
            .expect_err("it exits with 3");
        insta::assert_snapshot!(error, @r"
        `sh` failed (exit status: 3):
          two
          one
        ");
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let script = "echo 'tar: x: Cannot write: No space left on device' >&2; exit 2";
        let error = output(Command::new("sh").args(["-c", script])).expect_err("it exits with 2");
        insta::assert_snapshot!(error, @"no space left for what `sh` makes: free some, or let BULKHEAD_CACHE name a folder with room");
    }
}
