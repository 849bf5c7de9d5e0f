// SPDX-License-Identifier: GPL-3.0-or-later
//! Waiting until a daemon says that it is ready.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

/// The socket named by a daemon's `NOTIFY_SOCKET`.
#[derive(Debug)]
pub(crate) struct Readiness {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Readiness {
    /// Makes the socket at `path`, in the place of an earlier one.
    pub(crate) fn at(path: PathBuf) -> anyhow::Result<Self> {
        let _ = std::fs::remove_file(&path);
        let socket =
            UnixDatagram::bind(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, socket })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for `READY=1`, at most `step` at a time, as long as `alive` says so.
    pub(crate) fn wait(
        &self,
        step: Duration,
        mut alive: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        self.socket.set_read_timeout(Some(step))?;
        let mut buffer = [0; 4096];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length)
                    if buffer[..length]
                        .split(|b| *b == b'\n')
                        .any(|l| l == b"READY=1") =>
                {
                    return Ok(());
                }
                Ok(_) => {}
                Err(_) if alive() => {}
                Err(_) => bail!("it ended, or was not ready in time"),
            }
        }
    }
}
