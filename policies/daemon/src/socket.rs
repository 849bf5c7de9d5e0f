// SPDX-License-Identifier: GPL-3.0-or-later
//! Listening sockets in the file system.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tracing::warn;

use crate::serve::ServeError;

/// A listening socket, removed when dropped.
pub(crate) struct Socket {
    path: PathBuf,
    listener: std::os::unix::net::UnixListener,
}

impl Socket {
    /// Makes one for its owner, and the group if `mode` says so.
    pub fn bind(path: PathBuf, mode: u32) -> Result<Self, ServeError> {
        match Self::try_bind(&path, mode) {
            Ok(listener) => Ok(Self { path, listener }),
            Err(source) => Err(ServeError::Listen { path, source }),
        }
    }

    fn try_bind(path: &Path, mode: u32) -> io::Result<std::os::unix::net::UnixListener> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        // Left over from a daemon that was killed.
        if fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let listener = std::os::unix::net::UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    pub fn listener(&self) -> Result<UnixListener, ServeError> {
        let listener = self.listener.try_clone().and_then(UnixListener::from_std);
        listener.map_err(|source| ServeError::Listen {
            path: self.path.clone(),
            source,
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The next connection. When there are no descriptors left it waits for some to come back.
pub(crate) async fn accept(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(e) => {
                warn!("cannot accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
