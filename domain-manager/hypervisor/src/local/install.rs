// SPDX-License-Identifier: GPL-3.0-or-later
//! The list of what goes into a guest, as far as a local guest needs it.

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use crate::error::OpenError;

/// The list's name in its folder.
const LIST: &str = "install.toml";

/// What is put into a guest's file system.
#[derive(Clone, Debug, Default)]
pub(super) struct InstallList(pub(super) Vec<Installed>);

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installed {
    /// What it is.
    pub(super) what: What,
    /// Where it goes, an absolute path in the guest.
    pub(super) to: PathBuf,
}

/// What an entry puts there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// One of our programs, by its name.
    Program(String),
    /// A file, relative to the list's folder.
    File(PathBuf),
    /// A symbolic link with that text.
    Link(String),
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    install: Vec<Entry>,
}

/// The fields of an entry; those that only an image builder needs are not looked at.
#[derive(Deserialize)]
struct Entry {
    program: Option<String>,
    file: Option<PathBuf>,
    link: Option<String>,
    to: PathBuf,
}

impl InstallList {
    /// Reads the list in `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(LIST);
        let text = fs::read_to_string(&path).map_err(|error| bad(&path, error))?;
        Self::parse(&text, &path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, OpenError> {
        let file: File = toml::from_str(text).map_err(|error| bad(path, error))?;
        let entries = file.install.into_iter().map(|entry| {
            let to = entry.to.clone();
            checked(entry).ok_or_else(|| {
                let why = "an entry has one of `program`, `file`, `link`, and an absolute `to`";
                bad(path, format!("`{}`: {why}", to.display()))
            })
        });
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }
}

fn checked(entry: Entry) -> Option<Installed> {
    let what = match (entry.program, entry.file, entry.link) {
        (Some(program), None, None) if !program.contains('/') => What::Program(program),
        (None, Some(file), None) if file.is_relative() && is_plain(&file) => What::File(file),
        (None, None, Some(link)) => What::Link(link),
        _ => return None,
    };
    let plain = entry.to.is_absolute() && is_plain(&entry.to) && entry.to.parent().is_some();
    plain.then_some(Installed { what, to: entry.to })
}

fn is_plain(path: &Path) -> bool {
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    path.components().all(plain)
}

fn bad(path: &Path, why: impl Into<crate::error::Cause>) -> OpenError {
    OpenError::BadInstallList {
        path: path.to_owned(),
        source: why.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<InstallList, OpenError> {
        InstallList::parse(text, "list".as_ref())
    }

    #[test]
    fn an_entry_is_a_program_a_file_or_a_link() {
        let list = parse(
            "[[install]]\nprogram = 'a'\nto = '/usr/bin/a'\n\
             [[install]]\nfile = 'rpc/b'\nto = '/etc/b'\nmode = '0644'\n\
             [[install]]\nlink = '/usr/bin/a'\nto = '/etc/c'\n",
        );
        let kinds: Vec<_> = list
            .unwrap()
            .0
            .into_iter()
            .map(|entry| entry.what)
            .collect();
        let expected = [
            What::Program("a".into()),
            What::File("rpc/b".into()),
            What::Link("/usr/bin/a".into()),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn an_entry_that_says_too_much_or_leads_elsewhere_is_refused() {
        for bad in [
            "to = '/a'",
            "program = 'a'\nlink = 'b'\nto = '/a'",
            "program = 'a'\nto = 'a'",
            "program = 'a/b'\nto = '/a'",
            "file = '../a'\nto = '/a'",
            "file = 'a'\nto = '/usr/../a'",
        ] {
            assert!(parse(&format!("[[install]]\n{bad}\n")).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_list_of_the_source_tree_is_a_good_one() {
        let guest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates/guest");
        let list = InstallList::read(&guest).unwrap();
        assert!(!list.0.is_empty());
    }
}
