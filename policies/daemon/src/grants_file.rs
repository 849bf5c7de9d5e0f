// SPDX-License-Identifier: GPL-3.0-or-later
//! Grants on the disk, so that they survive a restart of the daemon, and nothing else: the
//! file lies in memory (`/run`) and names the machine's start it is good for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::grants::{GrantState, Grants};

/// The largest file that is read.
const FILE_MAX: u64 = 16 << 20;

#[derive(Serialize, Deserialize)]
struct Content {
    boot: String,
    last: u64,
    grants: Vec<GrantState>,
}

/// Where grants are kept.
#[derive(Debug)]
pub(crate) struct GrantsFile {
    path: PathBuf,
    boot: String,
}

impl GrantsFile {
    pub fn new(path: PathBuf, boot: String) -> Self {
        Self { path, boot }
    }

    /// What is there; nothing if the machine was started since, or the file makes no sense.
    pub fn load(&self) -> Grants {
        match read(&self.path) {
            Ok(Some(content)) if content.boot == self.boot && !self.boot.is_empty() => {
                Grants::restored(content.last, content.grants)
            }
            Ok(_) => Grants::default(),
            Err(error) => {
                warn!("the grants of before are lost: {error}");
                Grants::default()
            }
        }
    }

    /// Keeps them, before anybody relies on them.
    pub fn save(&self, grants: &Grants) -> io::Result<()> {
        let content = Content {
            boot: self.boot.clone(),
            last: grants.last(),
            grants: grants.states(Duration::ZERO),
        };
        let aside = self.path.with_extension("new");
        fs::write(&aside, serde_json::to_vec(&content)?)?;
        fs::rename(aside, &self.path)
    }
}

fn read(path: &Path) -> io::Result<Option<Content>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(metadata) if metadata.len() <= FILE_MAX => {
            Ok(Some(serde_json::from_slice(&fs::read(path)?)?))
        }
        Ok(_) => Err(io::Error::other("the file is too large")),
        Err(error) => Err(error),
    }
}
