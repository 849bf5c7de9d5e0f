// SPDX-License-Identifier: GPL-3.0-or-later
//! A daemon's log, and waiting for something to be written there.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

/// Lines that an error shows.
const TAIL: usize = 30;

/// A file that a program writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log(PathBuf);

impl Log {
    /// The log at `path`, which is made empty if it does not exist.
    pub fn at(path: PathBuf) -> anyhow::Result<Self> {
        let open = fs::File::options().create(true).append(true).open(&path);
        open.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.0).unwrap_or_default()).into_owned()
    }

    /// Its last lines, under its name.
    pub fn tail(&self) -> String {
        let text = self.text();
        let lines: Vec<&str> = text.lines().collect();
        let name = self.0.file_name().unwrap_or_default().display();
        format!(
            "── {name}\n{}",
            lines[lines.len().saturating_sub(TAIL)..].join("\n")
        )
    }

    /// Waits until `find` finds something in the log.
    pub fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> anyhow::Result<T> {
        let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        watch.add_watch(&self.0, AddWatchFlags::IN_MODIFY)?;
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = find(&self.text()) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{what} did not come within {limit:?}\n{}", self.tail());
            }
            let fd = PollFd::new(watch.as_fd(), PollFlags::POLLIN);
            poll(
                &mut [fd],
                PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
            )?;
            // What was changed does not matter; that it was, is known now.
            let _ = watch.read_events();
        }
    }
}
