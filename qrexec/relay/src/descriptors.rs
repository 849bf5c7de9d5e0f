// SPDX-License-Identifier: GPL-3.0-or-later
//! How many descriptors this process may have open, and how many its services.
//!
//! The limit is raised for this process alone: a service gets the one that was found, since many programs
//! go through every number up to it. A service that this process starts itself gets it before anything of
//! its input; one that another process of ours becomes or starts, before it begins ([`Limit`]).

use std::ffi::{OsStr, OsString};
use std::io;
use std::sync::OnceLock;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

/// Enough for as many calls as there are ports, each with its channel, its streams and its process.
const ENOUGH: u64 = 32_768;

/// The limit that was found, where it has been raised.
static FOUND: OnceLock<u64> = OnceLock::new();

/// Allows this process the descriptors of all the calls that it may have at one time, as far as its
/// hard limit goes. The soft limit is often 1024, for the sake of programs that use `select`.
pub fn allow_many_descriptors() -> io::Result<()> {
    let found = getrlimit(Resource::Nofile);
    let wanted = found.maximum.map_or(ENOUGH, |hard| hard.min(ENOUGH));
    if let Some(soft) = found.current.filter(|soft| *soft < wanted) {
        let _ = FOUND.set(soft);
        setrlimit(Resource::Nofile, soft_limit(wanted))?;
    }
    Ok(())
}

/// This soft limit, as far as the hard one goes.
fn soft_limit(wanted: u64) -> Rlimit {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = maximum.map_or(wanted, |hard| hard.min(wanted));
    Rlimit {
        current: Some(current),
        maximum,
    }
}

/// Gives a process that was just started the limit that was found.
pub(crate) fn give_back(process: Pid) {
    if let Some(found) = FOUND.get() {
        // It may have ended, or may have become another user's.
        let _ = prlimit(Some(process), Resource::Nofile, soft_limit(*found));
    }
}

/// A service's limit as a word of a command line.
#[derive(Clone, Copy, Debug)]
pub struct Limit(Option<u64>);

/// What the word is where the limit is the one that is there.
const AS_IT_IS: &str = "-";

impl Limit {
    /// What this process has found.
    pub(crate) fn found() -> Self {
        Self(FOUND.get().copied())
    }

    pub(crate) fn word(self) -> OsString {
        let word = self.0.map(|limit| limit.to_string());
        word.unwrap_or_else(|| AS_IT_IS.to_owned()).into()
    }

    /// The limit that a word names.
    pub fn named(word: &OsStr) -> io::Result<Self> {
        if word == AS_IT_IS {
            return Ok(Self(None));
        }
        let number = word.to_str().and_then(|word| word.parse().ok());
        let number = number.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self(Some(number)))
    }

    /// Makes it this process's own, and with it that of all that it becomes or starts.
    pub fn take(self) -> io::Result<()> {
        match self {
            Self(Some(soft)) => Ok(setrlimit(Resource::Nofile, soft_limit(soft))?),
            Self(None) => Ok(()),
        }
    }
}
