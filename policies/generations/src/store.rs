// SPDX-License-Identifier: GPL-3.0-or-later
//! The generations of a machine, and which of them is live.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::disk::Disk;
use crate::keys::Keys;
use crate::manifest::{Activation, Files, Manifest, Signature, sha256_hex};

/// A set holds so many files, of so many bytes each, at most.
const FILES_MAX: usize = 4096;
const FILE_MAX: u64 = 16 << 20;
/// Directories in a set are this deep at most.
const DEPTH_MAX: usize = 4;

/// Where generations are kept.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// A generation as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The SHA-256 of those bytes: its name for ever.
    pub sha256: String,
    /// Who signed it.
    pub signatures: Vec<Signature>,
    bytes: Vec<u8>,
}

/// Why something about generations cannot be done.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The disk says no.
    #[error("cannot {what} `{path}`")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another command is changing the policy.
    #[error("another command is changing the policy")]
    Busy,
    /// Another generation was applied since this one was made.
    #[error("another generation was applied meanwhile")]
    Overtaken,
    /// There is no such generation.
    #[error("there is no generation {0}")]
    None(u64),
    /// A generation's files are gone.
    #[error("the files of generation {0} are no longer kept: it was pruned")]
    Pruned(u64),
    /// A generation is not what it was when it was made.
    #[error("generation {number} is damaged: {what}")]
    Damaged {
        /// Which.
        number: u64,
        /// What is wrong.
        what: String,
    },
    /// Owners have not signed.
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    /// The set cannot be kept.
    #[error("`{path}` cannot be part of the policy: {what}")]
    Unfit {
        /// What.
        path: PathBuf,
        /// Why.
        what: &'static str,
    },
}

/// Files that no owner has signed for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("no owner has signed for {}", .0.join(", "))]
pub struct Unsigned(pub Vec<String>);

pub(crate) fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { what, path, source }
}

impl Store {
    /// The store below a directory, which need not be there.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The link to the files of the live generation.
    pub fn current(&self) -> PathBuf {
        self.root.join("current")
    }

    /// The directory of a generation's files.
    pub fn files_of(&self, number: u64) -> PathBuf {
        self.directory(number).join("files")
    }

    fn generations(&self) -> PathBuf {
        self.root.join("generations")
    }

    pub(crate) fn directory(&self, number: u64) -> PathBuf {
        self.generations().join(format!("{number:06}"))
    }

    /// The number of the live generation; `None` while there is none.
    pub fn live(&self) -> Result<Option<u64>, StoreError> {
        let current = self.current();
        let target = match fs::read_link(&current) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &current)(error)),
        };
        let number = target.parent().and_then(|parent| parent.file_name());
        let number = number.and_then(|name| name.to_str()?.parse().ok());
        number.map(Some).ok_or(StoreError::Damaged {
            number: 0,
            what: "`current` leads elsewhere".to_owned(),
        })
    }

    /// The numbers of all generations, ascending.
    pub fn numbers(&self) -> Result<Vec<u64>, StoreError> {
        let path = self.generations();
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        let mut numbers: Vec<u64> = names
            .filter_map(|name| name.to_str()?.parse().ok())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// What a generation says of itself. Its files are not looked at.
    pub fn read(&self, number: u64) -> Result<Generation, StoreError> {
        let directory = self.directory(number);
        if !directory.exists() {
            return Err(StoreError::None(number));
        }
        let path = directory.join("manifest.json");
        let bytes = fs::read(&path).map_err(failed("read", &path))?;
        let damaged = |what: String| StoreError::Damaged { number, what };
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if manifest.number != number {
            return Err(damaged(format!("it says it is number {}", manifest.number)));
        }
        let path = directory.join("signatures.json");
        let signatures = fs::read(&path).map_err(failed("read", &path))?;
        Ok(Generation {
            manifest,
            sha256: sha256_hex(&bytes),
            signatures: serde_json::from_slice(&signatures).map_err(|e| damaged(e.to_string()))?,
            bytes,
        })
    }

    /// Reads a generation with its files, and holds each against the manifest.
    pub fn verified(&self, number: u64) -> Result<(Generation, Files), StoreError> {
        let generation = self.read(number)?;
        if self.pruned(number).is_some() {
            return Err(StoreError::Pruned(number));
        }
        let files = read_files(&self.files_of(number))?;
        let found: BTreeMap<_, _> = files
            .iter()
            .map(|(path, bytes)| (path.clone(), sha256_hex(bytes)))
            .collect();
        for path in found.keys().chain(generation.manifest.files.keys()) {
            if found.get(path) != generation.manifest.files.get(path) {
                let what = format!("`{path}` was altered, added or removed");
                return Err(StoreError::Damaged { number, what });
            }
        }
        Ok((generation, files))
    }

    /// Whether each file of a manifest is signed for by an owner: by these signatures, or in
    /// an earlier generation that holds it unchanged.
    ///
    /// # Errors
    ///
    /// The files that are not.
    pub fn signed(
        &self,
        keys: &Keys,
        manifest: &Manifest,
        signatures: &[Signature],
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut open: BTreeMap<&str, &str> = manifest
            .files
            .iter()
            .map(|(path, hash)| (path.as_str(), hash.as_str()))
            .collect();
        let signers = keys.signers(&manifest.to_bytes(), signatures);
        open.retain(|path, _| !signers.iter().any(|key| key.owns(path)));
        for number in self.numbers()?.into_iter().rev() {
            if open.is_empty() || number >= manifest.number {
                continue;
            }
            // One that cannot be read vouches for nothing.
            let Ok(earlier) = self.read(number) else {
                continue;
            };
            let signers = keys.signers(&earlier.bytes, &earlier.signatures);
            open.retain(|path, hash| {
                let same = earlier
                    .manifest
                    .files
                    .get(*path)
                    .is_some_and(|known| known == hash);
                !(same && signers.iter().any(|key| key.owns(path)))
            });
        }
        match open.is_empty() {
            true => Ok(()),
            false => Err(Unsigned(open.into_keys().map(str::to_owned).collect()).into()),
        }
    }

    /// The number that the next generation gets, and the name of the one that is live.
    pub fn next(&self) -> Result<(u64, Option<String>), StoreError> {
        let number = self.numbers()?.last().copied().unwrap_or_default() + 1;
        let live = match self.live()? {
            Some(live) => Some(self.read(live)?.sha256),
            None => None,
        };
        Ok((number, live))
    }

    /// Keeps a set as a generation, and makes it live.
    ///
    /// # Errors
    ///
    /// An owner's signature is missing, or the disk says no: then what was live still is.
    pub fn apply(
        &self,
        keys: &Keys,
        manifest: &Manifest,
        files: &Files,
        signatures: &[Signature],
    ) -> Result<(), StoreError> {
        self.apply_by_steps(keys, manifest, files, signatures, &mut || Ok(()))
    }

    /// As [`Self::apply`]; `step` is told before each durable step, and may stop there.
    #[doc(hidden)]
    pub fn apply_by_steps(
        &self,
        keys: &Keys,
        manifest: &Manifest,
        files: &Files,
        signatures: &[Signature],
        step: &mut dyn FnMut() -> io::Result<()>,
    ) -> Result<(), StoreError> {
        self.signed(keys, manifest, signatures)?;
        let mut disk = Disk { step };
        let root = &self.root;
        disk.make_directory(&self.generations())
            .map_err(failed("make", root))?;
        let _lock = self.lock()?;
        if self.next()? != (manifest.number, manifest.parent.clone()) {
            return Err(StoreError::Overtaken);
        }
        let place = self.directory(manifest.number);
        self.write(&mut disk, &place, manifest, files, signatures)
            .map_err(failed("write", &place))?;
        self.switch(
            &mut disk,
            &Activation {
                number: manifest.number,
                what: "apply".to_owned(),
                by: manifest.about.author.clone(),
                time: manifest.about.time.clone(),
                previous: self.previous(manifest.number)?,
            },
        )
    }

    /// What was live before a generation goes live.
    fn previous(&self, number: u64) -> Result<Option<u64>, StoreError> {
        let live = self.live()?;
        match live == Some(number) {
            true => Ok(self.activation(number).and_then(|note| note.previous)),
            false => Ok(live),
        }
    }

    fn write(
        &self,
        disk: &mut Disk<'_>,
        place: &Path,
        manifest: &Manifest,
        files: &Files,
        signatures: &[Signature],
    ) -> io::Result<()> {
        let aside = self.generations().join("new");
        disk.remove_all(&aside)?;
        let mut directories = vec![aside.clone(), aside.join("files")];
        disk.make_directory(&aside.join("files"))?;
        for (path, bytes) in files {
            let path = aside.join("files").join(path);
            if let Some(directory) = path
                .parent()
                .filter(|d| !directories.iter().any(|k| k == d))
            {
                disk.make_directory(directory)?;
                directories.push(directory.to_owned());
            }
            disk.write(&path, bytes)?;
        }
        disk.write(&aside.join("manifest.json"), &manifest.to_bytes())?;
        disk.write(
            &aside.join("signatures.json"),
            &serde_json::to_vec_pretty(signatures)?,
        )?;
        for directory in directories.iter().rev() {
            disk.sync(directory)?;
        }
        disk.rename(&aside, place)?;
        disk.sync(&self.generations())
    }

    /// Makes a generation live again, whatever is live now; `by` and `time` say who does, when.
    ///
    /// # Errors
    ///
    /// It is damaged, an owner's signature is missing, or the disk says no.
    pub fn roll_back(
        &self,
        keys: &Keys,
        number: u64,
        by: &str,
        time: &str,
    ) -> Result<Generation, StoreError> {
        // Under the lock, so that its files cannot go meanwhile.
        let _lock = self.lock()?;
        let (generation, _) = self.verified(number)?;
        self.signed(keys, &generation.manifest, &generation.signatures)?;
        let step = &mut || Ok(());
        self.switch(
            &mut Disk { step },
            &Activation {
                number,
                what: "rollback".to_owned(),
                by: by.to_owned(),
                time: time.to_owned(),
                previous: self.previous(number)?,
            },
        )?;
        Ok(generation)
    }

    fn switch(&self, disk: &mut Disk<'_>, activation: &Activation) -> Result<(), StoreError> {
        let (aside, current) = (self.root.join("current.new"), self.current());
        let (note, note_aside) = (self.note(), self.root.join("activation.new"));
        let target = Path::new("generations")
            .join(format!("{:06}", activation.number))
            .join("files");
        let mut switch = || {
            disk.remove_all(&note_aside)?;
            disk.write(&note_aside, &serde_json::to_vec_pretty(activation)?)?;
            disk.rename(&note_aside, &note)?;
            disk.remove_all(&aside)?;
            disk.link(&target, &aside)?;
            disk.rename(&aside, &current)?;
            disk.sync(&self.root)
        };
        switch().map_err(failed("switch", &current))
    }

    fn note(&self) -> PathBuf {
        self.root.join("activation.json")
    }

    /// How a generation became live, if that is known. The note is written before the switch, so
    /// it may be about one that never did.
    pub(crate) fn activation(&self, number: u64) -> Option<Activation> {
        let bytes = fs::read(self.note()).ok()?;
        let activation: Activation = serde_json::from_slice(&bytes).ok()?;
        (activation.number == number).then_some(activation)
    }

    pub(crate) fn lock(&self) -> Result<File, StoreError> {
        let path = self.root.join("lock");
        let mut options = File::options();
        let file = options.create(true).write(true).truncate(false).open(&path);
        let file = file.map_err(failed("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(StoreError::Busy),
            Err(fs::TryLockError::Error(error)) => Err(failed("lock", &path)(error)),
        }
    }
}

/// The live generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveFiles {
    /// Its number.
    pub number: u64,
    /// The directory of its files.
    pub directory: PathBuf,
    /// What it says of itself, and its SHA-256.
    pub generation: Generation,
    /// How it became live, if that is known.
    pub activation: Option<Activation>,
    /// The files as they were verified. What is read from the directory later may be something
    /// else by then.
    pub files: Files,
}

/// The files of the live generation, if there is one: verified, and signed for where keys are
/// configured.
///
/// # Errors
///
/// There is one and it cannot be used.
pub fn live_files(store: &Store, keys: &Keys) -> Result<Option<LiveFiles>, StoreError> {
    let Some(number) = store.live()? else {
        return Ok(None);
    };
    let (generation, files) = store.verified(number)?;
    store.signed(keys, &generation.manifest, &generation.signatures)?;
    Ok(Some(LiveFiles {
        number,
        directory: store.files_of(number),
        activation: store.activation(number),
        generation,
        files,
    }))
}

/// Reads a directory of policy files with what is below it. Hidden files are passed over.
///
/// # Errors
///
/// Something is no regular file, or the set is too large.
pub fn read_files(directory: &Path) -> Result<Files, StoreError> {
    let mut files = Files::new();
    read_below(directory, "", 0, &mut files)?;
    Ok(files)
}

fn read_below(
    directory: &Path,
    prefix: &str,
    depth: usize,
    files: &mut Files,
) -> Result<(), StoreError> {
    let unfit = |path: &Path, what| StoreError::Unfit {
        path: path.to_owned(),
        what,
    };
    for entry in fs::read_dir(directory).map_err(failed("read", directory))? {
        let entry = entry.map_err(failed("read", directory))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| unfit(&path, "its name is not UTF-8"))?;
        if name.starts_with('.') {
            continue;
        }
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            // Somebody has removed it since the directory was listed; a link to nowhere is still there.
            Err(_) if is_gone(&path) => continue,
            Err(error) => return Err(failed("read", &path)(error)),
        };
        if metadata.is_dir() {
            if depth == DEPTH_MAX {
                return Err(unfit(&path, "directories are too deep"));
            }
            read_below(&path, &format!("{prefix}{name}/"), depth + 1, files)?;
        } else if !metadata.is_file() {
            return Err(unfit(&path, "it is no regular file"));
        } else if metadata.len() > FILE_MAX || files.len() == FILES_MAX {
            return Err(unfit(&path, "it is too large, or there are too many"));
        } else {
            match fs::read(&path) {
                Ok(bytes) => files.insert(format!("{prefix}{name}"), bytes),
                Err(_) if is_gone(&path) => continue,
                Err(error) => return Err(failed("read", &path)(error)),
            };
        }
    }
    Ok(())
}

fn is_gone(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
