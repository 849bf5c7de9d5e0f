// SPDX-License-Identifier: GPL-3.0-or-later
//! What a recipe lays over the Debian tree: files, programs, links, folders and users.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::archive::{Entry, Kind};
use crate::recipe::{Recipe, User};
use crate::{BuildError, Digest, Hasher};

/// Paths (without a leading slash) and what is to lie there.
#[derive(Debug, Default)]
pub struct Overlay {
    entries: BTreeMap<String, Entry>,
}

/// The path as it is in a tree whose `/bin`, `/sbin`, `/lib` and `/lib64` are links into `/usr`.
fn merged(path: &str) -> String {
    let path = path.trim_start_matches('/');
    match path.split('/').next() {
        Some("bin" | "sbin" | "lib" | "lib64") => format!("usr/{path}"),
        _ => path.to_owned(),
    }
}

impl Overlay {
    /// Collects everything that `recipe` adds. Programs are taken from the folder `programs`.
    pub fn collect(recipe: &Recipe, programs: &Path) -> Result<Self, BuildError> {
        let mut overlay = Self::default();
        for folder in &recipe.folder {
            overlay.insert(&folder.path, Kind::Folder, folder.mode, folder.owner);
        }
        for file in &recipe.file {
            overlay.add_from(&recipe.resolve(&file.from), &file.to, file.mode)?;
        }
        for program in &recipe.program {
            let path = programs.join(&program.name);
            if !path.is_file() {
                return Err(BuildError::Missing {
                    what: format!("the program {}", path.display()),
                    way_out: format!("cargo build --release --bin {}", program.name),
                });
            }
            overlay.add_from(&path, &program.to, Some(0o755))?;
        }
        for link in &recipe.link {
            overlay.insert(&link.path, Kind::Link(link.target.clone()), 0o777, 0);
        }
        Ok(overlay)
    }

    /// Adds a file that the builder itself makes.
    pub fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) {
        self.insert(path, Kind::File(content.into()), mode, 0);
    }

    /// The entries, in order of their paths.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(path, entry)| (path.as_str(), entry))
    }

    /// A digest of everything in it.
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::new();
        for (path, entry) in self.entries() {
            let (kind, content): (_, &[u8]) = match &entry.kind {
                Kind::Folder => ("folder", &[]),
                Kind::File(content) => ("file", content),
                Kind::Link(target) => ("link", target.as_bytes()),
            };
            let name = format!("{path} {kind} {:o} {}", entry.mode, entry.owner);
            hasher = hasher.add(&name, content);
        }
        hasher.finish()
    }

    fn insert(&mut self, path: &str, kind: Kind, mode: u32, owner: u32) {
        let entry = Entry { kind, mode, owner };
        self.entries.insert(merged(path), entry);
    }

    fn add_from(&mut self, from: &Path, to: &str, mode: Option<u32>) -> Result<(), BuildError> {
        let about = fs::metadata(from).map_err(BuildError::io("read", from))?;
        if about.is_dir() {
            for entry in fs::read_dir(from).map_err(BuildError::io("read", from))? {
                let entry = entry.map_err(BuildError::io("read", from))?;
                let name = entry.file_name();
                let name = name.to_str().ok_or_else(|| BuildError::Unexpected {
                    what: entry.path().display().to_string(),
                    problem: "its name is not UTF-8".into(),
                })?;
                self.add_from(&entry.path(), &format!("{to}/{name}"), mode)?;
            }
            return Ok(());
        }
        let executable = about.permissions().mode() & 0o100 != 0;
        let mode = mode.unwrap_or(if executable { 0o755 } else { 0o644 });
        let content = fs::read(from).map_err(BuildError::io("read", from))?;
        self.file(to, mode, content);
        Ok(())
    }
}

/// Adds users to the account files of a Debian tree. Nobody has a password, so nobody can log in
/// with one.
pub struct Accounts {
    /// `/etc/passwd`.
    pub passwd: String,
    /// `/etc/group`.
    pub group: String,
    /// `/etc/shadow`.
    pub shadow: String,
}

impl Accounts {
    /// Adds `user` with a group of the same name.
    ///
    /// # Errors
    /// The group that the user is to be in and that does not exist.
    pub fn add<'a>(&mut self, user: &'a User) -> Result<(), &'a str> {
        let User {
            name,
            id,
            home,
            groups,
        } = user;
        for group in groups {
            let head = format!("{group}:");
            let line = self.group.lines().find(|line| line.starts_with(&head));
            let line = line.ok_or(group.as_str())?.to_owned();
            let comma = if line.ends_with(':') { "" } else { "," };
            self.group = self.group.replace(&line, &format!("{line}{comma}{name}"));
        }
        self.passwd
            .push_str(&format!("{name}:x:{id}:{id}::{home}:/bin/bash\n"));
        self.group.push_str(&format!("{name}:x:{id}:\n"));
        self.shadow
            .push_str(&format!("{name}:*:19000:0:99999:7:::\n"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_joins_existing_groups_and_gets_its_own() {
        let mut accounts = Accounts {
            passwd: "root:x:0:0:root:/root:/bin/bash\n".into(),
            group: "root:x:0:\nvideo:x:44:\naudio:x:29:pulse\n".into(),
            shadow: "root:*:19000:0:99999:7:::\n".into(),
        };
        let user = User {
            name: "user".into(),
            id: 1000,
            home: "/home/user".into(),
            groups: vec!["video".into(), "audio".into()],
        };
        accounts.add(&user).unwrap();
        insta::assert_snapshot!(accounts.group, @r"
        root:x:0:
        video:x:44:user
        audio:x:29:pulse,user
        user:x:1000:
        ");
        insta::assert_snapshot!(accounts.passwd, @r"
        root:x:0:0:root:/root:/bin/bash
        user:x:1000:1000::/home/user:/bin/bash
        ");
        let stranger = User {
            groups: vec!["wheel".into()],
            ..user
        };
        assert_eq!(accounts.add(&stranger), Err("wheel"));
    }

    #[test]
    fn places_in_sbin_and_lib_move_below_usr() {
        assert_eq!(merged("/sbin/init"), "usr/sbin/init");
        assert_eq!(merged("/etc/init"), "etc/init");
        assert_eq!(merged("/library/x"), "library/x");
    }

    #[test]
    fn a_changed_mode_changes_the_digest() {
        let mut one = Overlay::default();
        one.file("/etc/x", 0o644, "x");
        let mut other = Overlay::default();
        other.file("/etc/x", 0o600, "x");
        assert_ne!(one.digest(), other.digest());
    }
}
