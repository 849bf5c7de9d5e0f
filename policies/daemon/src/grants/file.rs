// SPDX-License-Identifier: GPL-3.0-or-later
//! Grants on the disk, so that they survive a restart of the daemon, and nothing else: the
//! file lies in memory (`/run`) and names the machine's start it is good for.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::request::policy_of;
use super::{Grant, GrantState, Grants};
use crate::prompts::Runs;

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
            last: grants.last,
            grants: grants.states(Duration::ZERO),
        };
        let aside = self.path.with_extension("new");
        fs::write(&aside, serde_json::to_vec(&content)?)?;
        fs::rename(aside, &self.path)
    }
}

impl Grants {
    /// Those of before a restart. What ends with the source's stop is left out where it is not known
    /// with which: nobody watched.
    pub fn restored(last: u64, states: Vec<GrantState>) -> Self {
        let kept = states
            .into_iter()
            .filter(|state| !state.request.while_running || state.run.is_some());
        let live = kept.filter_map(|state| {
            let policy = policy_of(state.id, &state.request).ok()?;
            Some(Grant {
                state,
                policy: Arc::new(policy),
                compiled: None,
            })
        });
        Self {
            last,
            live: live.collect(),
            system: None,
            runs: Runs::default(),
        }
    }

    /// All of them, as they are now.
    pub fn states(&self, now: Duration) -> Vec<GrantState> {
        let live = self.live.iter();
        live.map(|grant| GrantState {
            left: grant.state.until_ms.map(|until| {
                Duration::from_millis(until)
                    .saturating_sub(now)
                    .as_millis()
                    .div_ceil(1000) as u64
            }),
            ..grant.state.clone()
        })
        .collect()
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
