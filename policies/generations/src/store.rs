// SPDX-License-Identifier: GPL-3.0-or-later
//! The generations of a machine, and which of them is live.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::files::read_files;
use crate::keys::Keys;
use crate::manifest::{Activation, Files, Manifest, Signature, sha256_hex};

/// Where generations are kept.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) root: PathBuf,
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

    pub(crate) fn generations(&self) -> PathBuf {
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
