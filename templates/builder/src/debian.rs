// SPDX-License-Identifier: GPL-3.0-or-later
//! The first stage: a tree of Debian packages, as one tar file.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::recipe::Debian;
use crate::tool::{output, watch};
use crate::{BuildError, Cache, Digest, Hasher};

/// The environment variable that names the Debian archive to use, instead of the one that this
/// machine's apt uses.
pub const MIRROR_VARIABLE: &str = "BULKHEAD_MIRROR";

/// Changes when the way of making the tree changes, so that older cache entries are not used.
const METHOD: &str = "1";

/// The digest of everything that decides what is in the tree.
///
/// The archive's address is not part of it: Debian's mirrors have the same packages. Nor is the
/// day: a tree is made again when its list changes or its cache entry is removed.
pub fn digest(debian: &Debian, date: u32) -> Digest {
    let list = serde_json::to_vec(debian).unwrap_or_default();
    Hasher::new()
        .add("method", METHOD)
        .add("date", date.to_le_bytes())
        .add("debian", list)
        .finish()
}

/// The tree's tar file, from the cache or newly made. `progress` hears what is being done.
pub fn tree(
    cache: &Cache,
    name: &str,
    debian: &Debian,
    date: u32,
    progress: &dyn Fn(&str),
) -> Result<PathBuf, BuildError> {
    let entry = cache.entry("debian", name, &digest(debian, date), |folder| {
        progress(&format!("{name}: installing Debian packages"));
        make(&folder.join("tree.tar"), debian, date, &|line| {
            if let Some(step) = line.strip_prefix("I: ").filter(|step| worth_telling(step)) {
                progress(&format!("{name}: {step}"));
            }
        })
    })?;
    Ok(entry.join("tree.tar"))
}

fn worth_telling(step: &str) -> bool {
    [
        "running",
        "downloading",
        "extracting",
        "installing",
        "creating",
        "success",
    ]
    .iter()
    .any(|word| step.starts_with(word))
}

fn make(tar: &Path, debian: &Debian, date: u32, each: &dyn Fn(&str)) -> Result<(), BuildError> {
    let mut command = Command::new("mmdebstrap");
    command
        .env("SOURCE_DATE_EPOCH", date.to_string())
        // Our initramfs is made in the second stage; the kernel package need not make one.
        .env("INITRD", "No")
        .arg(format!("--variant={}", debian.variant))
        .arg(format!("--include={}", debian.packages.join(",")))
        .args(["--aptopt=Apt::Install-Recommends \"false\"", "--format=tar"]);
    for path in &debian.exclude {
        command.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    command.arg(&debian.suite).arg(tar);
    for mirror in mirrors()? {
        command.arg(mirror.line(debian));
    }
    let mut said = String::new();
    let result = watch(&mut command, |line| {
        said.push_str(line);
        said.push('\n');
        each(line);
    });
    result.map_err(|error| explain(error, &said, &debian.suite))
}

/// What mmdebstrap's failure means, by what it `said`.
fn explain(error: BuildError, said: &str, suite: &str) -> BuildError {
    let signs = [
        "Failed to fetch",
        "Temporary failure resolving",
        "does not have a Release file",
        "Could not connect",
    ];
    match error {
        BuildError::Tool { tail, .. } if signs.iter().any(|sign| said.contains(sign)) => {
            BuildError::Unreachable {
                suite: suite.into(),
                tail,
            }
        }
        error => error,
    }
}

/// One archive of Debian.
#[derive(Debug, PartialEq, Eq)]
struct Mirror {
    address: String,
    security: bool,
}

impl Mirror {
    fn line(&self, debian: &Debian) -> String {
        let suffix = if self.security { "-security" } else { "" };
        let components = debian.components.join(" ");
        format!("deb {} {}{suffix} {components}", self.address, debian.suite)
    }
}

/// The archives that this machine's apt uses, or the one that the environment names. Whose an
/// archive is stands in its lists, so apt must have fetched them.
fn mirrors() -> Result<Vec<Mirror>, BuildError> {
    if let Ok(address) = std::env::var(MIRROR_VARIABLE) {
        return Ok(vec![Mirror {
            address,
            security: false,
        }]);
    }
    let format = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";
    let list = output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        format,
        "Created-By: Packages",
    ]))?;
    let mirrors = parse_mirrors(&String::from_utf8_lossy(&list));
    if mirrors.iter().all(|mirror| mirror.security) {
        return Err(BuildError::NoMirror);
    }
    Ok(mirrors)
}

fn parse_mirrors(list: &str) -> Vec<Mirror> {
    let mut mirrors: Vec<Mirror> = Vec::new();
    for line in list.lines() {
        let parts: Vec<&str> = line.split('|').collect();
        let ["Debian", label, address] = parts[..] else {
            continue;
        };
        let security = label == "Debian-Security";
        if !mirrors.iter().any(|mirror| mirror.security == security) {
            mirrors.push(Mirror {
                address: address.into(),
                security,
            });
        }
    }
    mirrors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debian() -> Debian {
        Debian {
            suite: "trixie".into(),
            variant: "minbase".into(),
            components: vec!["main".into()],
            packages: vec!["busybox-static".into()],
            exclude: Vec::new(),
        }
    }

    #[test]
    fn the_mirror_is_the_one_of_this_machines_apt() {
        let list = "\
Docker|Docker CE|https://packages.example/linux/
Debian|Debian|http://mirror.example/debian/
Debian|Debian|http://mirror.example/debian/
Debian|Debian-Security|http://mirror.example/security/
";
        let lines: Vec<String> = parse_mirrors(list)
            .iter()
            .map(|m| m.line(&debian()))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        deb http://mirror.example/debian/ trixie main
        deb http://mirror.example/security/ trixie-security main
        ");
    }

    #[test]
    fn a_mirror_that_does_not_answer_is_told_from_other_failures() {
        let failed = |tail: &str| BuildError::Tool {
            tool: "mmdebstrap".into(),
            status: "exit status: 25".into(),
            tail: format!("  {tail}"),
        };
        let said = "E: The repository 'http://mirror.example trixie Release' does not have a Release file.";
        insta::assert_snapshot!(explain(failed(said), said, "trixie"), @r"
        the Debian archive cannot be reached or has no suite `trixie`:
          E: The repository 'http://mirror.example trixie Release' does not have a Release file.
        ");
        let said = "E: Unable to locate package xterm2";
        insta::assert_snapshot!(explain(failed(said), said, "trixie"), @r"
        `mmdebstrap` failed (exit status: 25):
          E: Unable to locate package xterm2
        ");
    }

    #[test]
    fn another_list_of_packages_is_another_tree() {
        let mut more = debian();
        more.packages.push("xterm".into());
        assert_ne!(digest(&debian(), 0), digest(&more, 0));
        assert_ne!(digest(&debian(), 0), digest(&debian(), 1));
    }
}
