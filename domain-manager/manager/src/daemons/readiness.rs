// SPDX-License-Identifier: GPL-3.0-or-later
//! How a daemon says that it is ready: the protocol of `sd_notify`.

use std::io;
use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

/// A socket on which one daemon may say `READY=1`.
#[derive(Debug)]
pub(super) struct Readiness {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Readiness {
    /// Opens the socket, replacing one that was left behind.
    pub(super) fn listen(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            socket: UnixDatagram::bind(path)?,
            path: path.to_owned(),
        })
    }

    /// Waits until the daemon says that it is ready.
    pub(super) async fn ready(&self) {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.recv(&mut buffer).await {
                Ok(length) => {
                    let mut lines = buffer[..length].split(|b| *b == b'\n');
                    if lines.any(|line| line == b"READY=1") {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!("cannot hear whether a daemon is ready: {error}");
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        // Somebody else may have removed it; then there is nothing to do.
        let _ = std::fs::remove_file(&self.path);
    }
}
