// SPDX-License-Identifier: GPL-3.0-or-later
//! The applications of a guest, as its menu shows them (`qubes.GetAppmenus`).
//!
//! One line for each word about an application: `ID:KEY=VALUE`, where the id is the name of its
//! desktop entry. dom0 builds the menu from these lines and trusts none of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a menu needs to know.
const KEYS: [&str; 7] = [
    "Type",
    "Name",
    "GenericName",
    "Comment",
    "Categories",
    "Icon",
    "Exec",
];
/// The most bytes of a desktop entry that are read.
const ENTRY_MAX: usize = 256 * 1024;
/// How deep folders of entries may lie in each other.
const DEPTH_MAX: usize = 4;

/// Where entries are, from those that win to those that are hidden by others of their id.
pub fn folders(variable: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let own = variable("XDG_DATA_HOME").filter(|text| !text.is_empty());
    let own = own.or_else(|| variable("HOME").map(|home| format!("{home}/.local/share")));
    let shared = variable("XDG_DATA_DIRS").filter(|text| !text.is_empty());
    let shared = shared.unwrap_or_else(|| "/usr/local/share:/usr/share".to_owned());
    let all = own.iter().map(String::as_str).chain(shared.split(':'));
    all.map(|folder| Path::new(folder).join("applications"))
        .collect()
}

/// Writes the lines for all applications that a menu shows.
pub fn list(folders: &[PathBuf], mut output: impl Write) -> io::Result<()> {
    let mut entries = BTreeMap::new();
    for folder in folders {
        collect(folder, "", 0, &mut entries);
    }
    for (id, path) in &entries {
        let Ok(bytes) = fs::read(path) else { continue };
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(ENTRY_MAX)]);
        for (key, value) in shown(&text).into_iter().flatten() {
            writeln!(output, "{id}:{key}={value}")?;
        }
    }
    output.flush()
}

/// Takes note of the entries in a folder; those of an earlier folder stay.
fn collect(folder: &Path, prefix: &str, depth: usize, entries: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let Some(name) = name.to_str().filter(|name| plain(name)) else {
            continue;
        };
        let id = format!("{prefix}{name}");
        if path.is_dir() {
            if depth < DEPTH_MAX {
                collect(&path, &format!("{id}-"), depth + 1, entries);
            }
        } else if name.ends_with(".desktop") {
            entries.entry(id).or_insert(path);
        }
    }
}

fn plain(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte))
}

/// The words of an entry in the order of [`KEYS`]; `None` for what no menu shows.
fn shown(text: &str) -> Option<Vec<(&'static str, &str)>> {
    let group = text
        .lines()
        .skip_while(|line| line.trim() != "[Desktop Entry]")
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    let words: BTreeMap<&str, &str> = group
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim(), value.trim()))
        .collect();
    let off = |key| words.get(key) == Some(&"true");
    if off("NoDisplay") || off("Hidden") || words.get("Type") != Some(&"Application") {
        return None;
    }
    if !words.contains_key("Name") || !words.contains_key("Exec") {
        return None;
    }
    let printable = |value: &&str| !value.contains(char::is_control);
    let word = |key: &'static str| words.get(key).copied().filter(printable).map(|v| (key, v));
    Some(KEYS.into_iter().filter_map(word).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(folders: &[PathBuf]) -> String {
        let mut bytes = Vec::new();
        list(folders, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_application_is_listed_once_with_what_a_menu_needs() {
        let root = tempfile::tempdir().unwrap();
        let [own, shared] = ["own", "shared"].map(|name| root.path().join(name));
        fs::create_dir_all(shared.join("kde")).unwrap();
        fs::create_dir(&own).unwrap();
        let entry = |name: &str, more: &str| {
            format!(
                "# c\n[Desktop Entry]\nType=Application\nName={name}\nExec=x %U\n{more}\n[Desktop Action a]\nName=no\n"
            )
        };
        fs::write(own.join("edit.desktop"), entry("Mine", "Icon=pen")).unwrap();
        fs::write(shared.join("edit.desktop"), entry("Theirs", "")).unwrap();
        fs::write(
            shared.join("kde/mail.desktop"),
            entry("Mail", "Categories=Network;"),
        )
        .unwrap();
        fs::write(
            shared.join("hidden.desktop"),
            entry("Hidden", "NoDisplay=true"),
        )
        .unwrap();
        fs::write(shared.join("link.desktop"), "[Desktop Entry]\nType=Link\n").unwrap();
        fs::write(shared.join("a b.desktop"), entry("Odd", "")).unwrap();
        fs::write(shared.join("esc.desktop"), entry("\x1b[2J", "")).unwrap();
        insta::assert_snapshot!(listed(&[own, shared, root.path().join("none")]), @r"
        edit.desktop:Type=Application
        edit.desktop:Name=Mine
        edit.desktop:Icon=pen
        edit.desktop:Exec=x %U
        esc.desktop:Type=Application
        esc.desktop:Exec=x %U
        kde-mail.desktop:Type=Application
        kde-mail.desktop:Name=Mail
        kde-mail.desktop:Categories=Network;
        kde-mail.desktop:Exec=x %U
        ");
    }

    #[test]
    fn the_own_folder_comes_first() {
        let places = |pairs: &'static [(&str, &str)]| {
            folders(|name| {
                let found = pairs.iter().find(|(key, _)| *key == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let expected = [
            "/h/.local/share/applications",
            "/usr/local/share/applications",
            "/usr/share/applications",
        ];
        assert_eq!(places(&[("HOME", "/h")]), expected.map(PathBuf::from));
        let expected = ["/d/applications", "/x/applications"];
        assert_eq!(
            places(&[
                ("HOME", "/h"),
                ("XDG_DATA_HOME", "/d"),
                ("XDG_DATA_DIRS", "/x")
            ]),
            expected.map(PathBuf::from)
        );
    }
}
