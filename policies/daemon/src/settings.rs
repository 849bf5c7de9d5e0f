// SPDX-License-Identifier: GPL-3.0-or-later
//! The settings of the daemon: `/etc/bulkhead/policyd.toml`, which may be missing.

use std::io;
use std::path::{Path, PathBuf};

use policy_ledger::Limits;
use serde::Deserialize;
use thiserror::Error;

/// The largest file that is read.
const FILE_MAX: u64 = 1 << 20;

/// What can be set. Everything has a default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// About the ledger.
    pub ledger: LedgerSettings,
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
    /// Reads the file; without one, the defaults.
    ///
    /// # Errors
    ///
    /// The file is there and cannot be used.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let failed = |source| SettingsError::Read {
            path: path.to_owned(),
            source,
        };
        let wrong = |what: String| SettingsError::Content {
            path: path.to_owned(),
            what,
        };
        let text = match std::fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Ok(metadata) if !metadata.is_file() => return Err(wrong("it is no file".into())),
            Ok(metadata) if metadata.len() > FILE_MAX => {
                return Err(wrong("it is larger than 1 MiB".into()));
            }
            _ => std::fs::read_to_string(path).map_err(failed)?,
        };
        toml::from_str(&text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))
    }
}
