// SPDX-License-Identifier: GPL-3.0-or-later
//! What the local back end and its two programs agree on: a guest's folder and the orders.
//!
//! Not an interface for anybody else.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use bulkhead_types::{DomId, DomainName, DomainUuid};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::spec::GuestState;

/// What is to be done with a guest, as it is said to its supervisor and its first process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Order {
    Run,
    Pause,
    Shutdown,
    Destroy,
}

impl Order {
    const ALL: [Self; 4] = [Self::Run, Self::Pause, Self::Shutdown, Self::Destroy];

    /// The order as a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Pause => "pause",
            Self::Shutdown => "shutdown",
            Self::Destroy => "destroy",
        }
    }

    /// The order that a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.word() == word)
    }
}

/// What is written down about a guest when it is created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestRecord {
    /// Its number.
    pub domid: DomId,
    /// Its name.
    pub name: DomainName,
    /// Its domain's UUID.
    pub uuid: DomainUuid,
    /// The memory it was created with, in MiB. Nothing holds it to that.
    pub memory_mib: u32,
}

/// The folder that a guest has while it lives.
#[derive(Clone, Debug)]
pub struct GuestFolder(PathBuf);

impl GuestFolder {
    /// The guest's folder at that path, there or not.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the folder, with what is known of the guest.
    pub fn make(&self, record: &GuestRecord) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        File::create(self.lock_path())?;
        self.set_state(GuestState::Paused)?;
        fs::write(self.record_path(), serde_json::to_vec(record)?)
    }

    /// What was written down; nothing if the creation was cut short.
    pub fn record(&self) -> Option<GuestRecord> {
        let bytes = fs::read(self.record_path()).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Takes the lock that says the guest lives. Only its supervisor does.
    pub fn hold_lock(&self) -> io::Result<Flock<File>> {
        self.lock(FlockArg::LockExclusiveNonblock)
    }

    /// Waits until the guest has ended.
    pub fn wait_for_lock(&self) -> io::Result<Flock<File>> {
        self.lock(FlockArg::LockShared)
    }

    /// Whether the guest's supervisor holds its lock.
    pub fn is_alive(&self) -> bool {
        let locked = self.lock(FlockArg::LockSharedNonblock);
        locked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    fn lock(&self, how: FlockArg) -> io::Result<Flock<File>> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.lock_path())?;
        loop {
            match Flock::lock(file, how) {
                Ok(lock) => return Ok(lock),
                Err((again, nix::errno::Errno::EINTR)) => file = again,
                Err((_, errno)) => return Err(errno.into()),
            }
        }
    }

    /// Notes what the guest is doing.
    pub fn set_state(&self, state: GuestState) -> io::Result<()> {
        let new = self.0.join("state.new");
        fs::write(&new, format!("{state:?}"))?;
        fs::rename(new, self.0.join("state"))
    }

    /// What the guest was doing last.
    pub fn state(&self) -> GuestState {
        let text = fs::read_to_string(self.0.join("state")).unwrap_or_default();
        [GuestState::Paused, GuestState::Running]
            .into_iter()
            .find(|state| format!("{state:?}") == text)
            .unwrap_or(GuestState::Ending)
    }

    /// Calls `use_it` with an address for the control socket that is short enough for a socket
    /// address, however deep the folder lies.
    pub fn with_control_address<T>(
        &self,
        use_it: impl FnOnce(&Path) -> io::Result<T>,
    ) -> io::Result<T> {
        use std::os::fd::AsRawFd;
        let folder = File::open(&self.0)?;
        use_it(format!("/proc/self/fd/{}/control", folder.as_raw_fd()).as_ref())
    }

    fn lock_path(&self) -> PathBuf {
        self.0.join("lock")
    }

    fn record_path(&self) -> PathBuf {
        self.0.join("guest.json")
    }
}
