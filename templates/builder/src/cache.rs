// SPDX-License-Identifier: GPL-3.0-or-later
//! Finished stages, kept by the digest of everything that went into them.
//!
//! An entry is a folder `STAGE/NAME-DIGEST`. It is made under another name on the same file
//! system and renamed when it is whole, so an interrupted build leaves nothing that looks
//! finished; what it does leave is removed by the next one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{BuildError, Digest};

/// How many entries of one name and stage are kept.
const KEPT: usize = 3;

/// A folder of finished stages.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The environment variable that names another folder.
    pub const VARIABLE: &'static str = "BULKHEAD_CACHE";

    /// The user's cache: `$BULKHEAD_CACHE`, else `$XDG_CACHE_HOME/bulkhead`, else
    /// `~/.cache/bulkhead`.
    pub fn of_user() -> Self {
        let folder = |variable| std::env::var_os(variable).filter(|value| !value.is_empty());
        let root = folder(Self::VARIABLE)
            .map(PathBuf::from)
            .or_else(|| folder("XDG_CACHE_HOME").map(|base| Path::new(&base).join("bulkhead")))
            .unwrap_or_else(|| {
                let home = folder("HOME").unwrap_or_else(|| "/tmp".into());
                Path::new(&home).join(".cache/bulkhead")
            });
        Self { root }
    }

    /// A cache in `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The entry for `digest`; made by `make` when there is none.
    ///
    /// `make` fills an empty folder. Two processes that want the same entry make it once:
    /// the second waits.
    pub fn entry(
        &self,
        stage: &str,
        name: &str,
        digest: &Digest,
        make: impl FnOnce(&Path) -> Result<(), BuildError>,
    ) -> Result<PathBuf, BuildError> {
        let folder = self.root.join(stage);
        let entry = folder.join(format!("{name}-{}", digest.short()));
        if entry.is_dir() {
            touch(&entry);
            return Ok(entry);
        }
        fs::create_dir_all(&folder).map_err(BuildError::io("create", &folder))?;
        let lock = folder.join(format!(".{name}.lock"));
        let held = File::create(&lock).map_err(BuildError::io("create", &lock))?;
        held.lock().map_err(BuildError::io("lock", &lock))?;
        if entry.is_dir() {
            return Ok(entry);
        }
        let unfinished = folder.join(format!(".{name}.unfinished"));
        remove(&unfinished)?;
        fs::create_dir(&unfinished).map_err(BuildError::io("create", &unfinished))?;
        match make(&unfinished) {
            Ok(()) => {
                fs::rename(&unfinished, &entry).map_err(BuildError::io("create", &entry))?;
            }
            Err(error) => {
                // The first error is the one to report.
                let _ = remove(&unfinished);
                return Err(error);
            }
        }
        self.prune(&folder, name, &entry);
        Ok(entry)
    }

    /// Removes the entries of `name` that were not used for the longest time.
    fn prune(&self, folder: &Path, name: &str, fresh: &Path) {
        let prefix = format!("{name}-");
        let is_entry = |path: &PathBuf| {
            let entry = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            entry.strip_prefix(&prefix).is_some_and(|digest| {
                digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
            })
        };
        let Ok(list) = fs::read_dir(folder) else {
            return;
        };
        let mut entries: Vec<(SystemTime, PathBuf)> = list
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path != fresh && is_entry(path))
            .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
            .collect();
        entries.sort();
        let surplus = (entries.len() + 1).saturating_sub(KEPT);
        for (_, path) in entries.into_iter().take(surplus) {
            // A left-over costs room, never correctness.
            let _ = remove(&path);
        }
    }
}

/// Notes that an entry was used.
fn touch(entry: &Path) {
    if let Ok(folder) = File::open(entry) {
        // Only the order of removal depends on it.
        let _ = folder.set_modified(SystemTime::now());
    }
}

fn remove(path: &Path) -> Result<(), BuildError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(BuildError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path) -> Result<(), BuildError> {
        fs::write(folder.join("x"), "x").map_err(BuildError::io("write", folder))
    }

    fn failure() -> BuildError {
        BuildError::DiskFull { what: "x".into() }
    }

    #[test]
    fn an_entry_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::below(dir.path());
        let digest = Digest::of(b"1");
        let first = cache.entry("image", "a", &digest, write).unwrap();
        let second = cache
            .entry("image", "a", &digest, |_| Err(failure()))
            .unwrap();
        assert_eq!(first, second);
        assert!(first.join("x").is_file());
    }

    #[test]
    fn a_failed_build_leaves_no_entry_and_the_next_one_works() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::below(dir.path());
        let digest = Digest::of(b"1");
        let half = |folder: &Path| write(folder).and(Err(failure()));
        cache.entry("image", "a", &digest, half).unwrap_err();
        let left: Vec<_> = fs::read_dir(dir.path().join("image"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, [".a.lock"]);
        cache.entry("image", "a", &digest, write).unwrap();
    }

    #[test]
    fn what_an_interrupted_build_left_is_not_taken_for_an_entry() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::below(dir.path());
        fs::create_dir_all(dir.path().join("image/.a.unfinished")).unwrap();
        fs::write(dir.path().join("image/.a.unfinished/half"), "").unwrap();
        let entry = cache.entry("image", "a", &Digest::of(b"1"), write).unwrap();
        assert!(!entry.join("half").exists());
    }

    #[test]
    fn only_the_newest_entries_of_a_name_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::below(dir.path());
        for n in 0..6_u8 {
            cache.entry("image", "a", &Digest::of(&[n]), write).unwrap();
        }
        cache
            .entry("image", "a-b", &Digest::of(b"b"), write)
            .unwrap();
        let entries = fs::read_dir(dir.path().join("image")).unwrap();
        let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|n| n.starts_with("a-")).count(), KEPT + 1);
    }
}
