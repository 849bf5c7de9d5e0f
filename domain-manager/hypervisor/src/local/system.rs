// SPDX-License-Identifier: GPL-3.0-or-later
//! The `/usr` that local guests share: the host's, with our programs in it.
//!
//! Our programs have to appear in the host's folders (`/usr/bin/qrexec-client-vm`), which must
//! not change on the host. So such a folder is a new one for the guests: links to everything
//! the host has there, and ours among them. It is made once and shown to every guest, as a
//! thousand links take longer than all else about a guest.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::LocalOptions;
use super::install::{InstallList, Installed, What};

/// Where guests find the host's `/usr`, our programs and the guest's files under their own
/// names. They have no business there.
pub(super) const HOST_USR: &str = "/.system/usr";
pub(super) const PROGRAMS: &str = "/.programs";
pub(super) const GUEST_FILES: &str = "/.guest";

/// What stands for `/usr` in a guest.
const USR: &str = "/usr";

/// What guests share.
#[derive(Debug)]
pub(super) struct SharedSystem {
    /// The folder that is their `/usr`.
    pub(super) usr: PathBuf,
    /// Links to make elsewhere: where, and their text.
    pub(super) links: Vec<(PathBuf, PathBuf)>,
}

impl SharedSystem {
    /// Makes the folder at `usr`, or takes the one there if guests `are_using` it: to them it
    /// must not change.
    pub(super) fn prepare(
        usr: PathBuf,
        options: &LocalOptions,
        list: &InstallList,
        are_using: bool,
    ) -> io::Result<Self> {
        let there = |entry: &&Installed| match &entry.what {
            What::Program(name) => options.programs.join(name).is_file(),
            What::File(_) | What::Link(_) => true,
        };
        let links = list.0.iter().filter(there);
        let links = links.map(|entry| (entry.to.clone(), target(&entry.what)));
        let (inside, links) = links.partition::<Vec<_>, _>(|(to, _)| to.starts_with(USR));
        if !(are_using && usr.is_dir()) {
            let new = usr.with_extension("new");
            for left in [&new, &usr] {
                if left.exists() {
                    fs::remove_dir_all(left)?;
                }
            }
            fill(&new, &inside)?;
            fs::rename(&new, &usr)?;
        }
        Ok(Self { usr, links })
    }
}

fn target(what: &What) -> PathBuf {
    match what {
        What::Program(name) => Path::new(PROGRAMS).join(name),
        What::File(file) => Path::new(GUEST_FILES).join(file),
        What::Link(text) => PathBuf::from(text),
    }
}

/// Makes the folder `usr` with the links `ours` and all that the host has beside them.
fn fill(usr: &Path, ours: &[(PathBuf, PathBuf)]) -> io::Result<()> {
    let taken: BTreeSet<_> = ours.iter().map(|(to, _)| to.as_path()).collect();
    let opened = opened(&taken);
    for folder in &opened {
        let inside = folder.strip_prefix(USR).map_err(io::Error::other)?;
        fs::create_dir_all(usr.join(inside))?;
        for name in names(folder)? {
            let path = folder.join(&name);
            if !taken.contains(path.as_path()) && !opened.contains(path.as_path()) {
                let inside = inside.join(name);
                symlink(Path::new(HOST_USR).join(&inside), usr.join(inside))?;
            }
        }
    }
    for (to, target) in ours {
        let inside = to.strip_prefix(USR).map_err(io::Error::other)?;
        symlink(target, usr.join(inside))?;
    }
    Ok(())
}

/// The host's folders that something of ours goes into, parents first.
fn opened<'a>(ours: &BTreeSet<&'a Path>) -> BTreeSet<&'a Path> {
    let usr = Path::new(USR);
    let folders = ours.iter().flat_map(|path| path.ancestors().skip(1));
    let mut opened: BTreeSet<_> = folders.filter(|folder| folder.starts_with(usr)).collect();
    opened.insert(usr);
    opened
}

/// What the host has in a folder; nothing when it has no such folder.
fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
