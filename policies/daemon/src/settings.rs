// SPDX-License-Identifier: GPL-3.0-or-later
//! The settings of the daemon: `/etc/bulkhead/policyd.toml`, and `/etc/bulkhead/quotas.toml`, which
//! `bulkhead policy quota` writes. Both may be missing.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bulkhead_types::Layout;
use nix::unistd::{Uid, User};
use policy_ledger::Limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::quota::Quota;

/// The largest file that is read.
const FILE_MAX: u64 = 1 << 20;

/// What can be set. Everything has a default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// About the ledger.
    pub ledger: LedgerSettings,
    /// About generations of the policy.
    pub generations: GenerationSettings,
    /// The quotas, first ones first.
    #[serde(skip)]
    pub quotas: Vec<Quota>,
    /// Who has written them: the owner of the file, which is replaced whole at each change.
    #[serde(skip)]
    pub quotas_by: Option<String>,
}

/// The file of quotas.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaFile {
    /// The quotas; the first that fits a call counts it.
    #[serde(default, rename = "quota")]
    pub quotas: Vec<Quota>,
}

/// How the ledger is kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerSettings {
    /// Of what disposables ask, only the number is kept.
    pub private_disposables: bool,
    /// A segment of this size is put aside and a new one begun, in MiB.
    pub segment_mib: u64,
    /// So many full segments are kept; 0 keeps all.
    pub keep_segments: usize,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            private_disposables: false,
            segment_mib: Limits::default().segment >> 20,
            keep_segments: 0,
        }
    }
}

impl LedgerSettings {
    /// As the ledger takes them.
    pub fn limits(&self) -> Limits {
        Limits {
            segment: self.segment_mib.clamp(1, 1 << 20) << 20,
            keep: self.keep_segments,
        }
    }
}

/// How long the files of generations are kept; of no generation what it says of itself is lost.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenerationSettings {
    /// So many of the newest are kept; 0 keeps all.
    pub keep: usize,
    /// All that are younger than so many days are kept as well.
    pub days: u64,
}

impl Default for GenerationSettings {
    fn default() -> Self {
        Self { keep: 50, days: 90 }
    }
}

/// Why settings cannot be used.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is no such file.
    #[error("`{path}` cannot be used: {what}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the line.
        what: String,
    },
}

impl Settings {
    /// Reads both files.
    ///
    /// # Errors
    ///
    /// A file is there and cannot be used.
    pub fn load(layout: &Layout) -> Result<Self, SettingsError> {
        let settings: Self = read(&layout.configuration().join("policyd.toml"))?;
        Ok(Self {
            quotas: QuotaFile::load(&QuotaFile::path(layout))?.quotas,
            quotas_by: owner(&QuotaFile::path(layout)),
            ..settings
        })
    }
}

impl QuotaFile {
    /// Where it is.
    pub fn path(layout: &Layout) -> PathBuf {
        layout.configuration().join("quotas.toml")
    }

    /// Reads the file; without one there are no quotas but the defaults.
    ///
    /// # Errors
    ///
    /// The file is there and cannot be used.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let file: Self = read(path)?;
        let problem =
            |quota: &Quota| Some(format!("quota `{}`: {}", quota.name(), quota.problem()?));
        match file.quotas.iter().find_map(problem) {
            Some(what) => Err(SettingsError::Content {
                path: path.to_owned(),
                what,
            }),
            None => Ok(file),
        }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    ///
    /// The old one stays.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        let aside = path.with_extension("new");
        let written = File::create(&aside).and_then(|mut file| {
            file.write_all(format!("{QUOTA_HEAD}{text}").as_bytes())?;
            file.sync_all()
        });
        let moved = written.and_then(|()| std::fs::rename(&aside, path));
        if moved.is_err() {
            let _ = std::fs::remove_file(aside);
        }
        moved
    }
}

fn owner(path: &Path) -> Option<String> {
    let uid = std::fs::metadata(path).ok()?.uid();
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    Some(user.map_or_else(|| format!("uid {uid}"), |user| user.name))
}

const QUOTA_HEAD: &str = "\
# How often domains may call. `bulkhead policy quota` writes this file; comments get lost.
# The first quota that fits a call counts it.

";

fn read<T: DeserializeOwned + Default>(path: &Path) -> Result<T, SettingsError> {
    let failed = |source| SettingsError::Read {
        path: path.to_owned(),
        source,
    };
    let wrong = |what: String| SettingsError::Content {
        path: path.to_owned(),
        what,
    };
    let text = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(T::default()),
        Ok(metadata) if !metadata.is_file() => return Err(wrong("it is no file".into())),
        Ok(metadata) if metadata.len() > FILE_MAX => {
            return Err(wrong("it is larger than 1 MiB".into()));
        }
        _ => std::fs::read_to_string(path).map_err(failed)?,
    };
    toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))
}
