// SPDX-License-Identifier: MIT OR Apache-2.0
//! How whoever came first to a meeting learns that the other one is there.
//!
//! A client that finds no server hangs up a bell, a socket of its own in the folder, and looks
//! once more; a server takes its place and then rings. Whichever order these happen in, one of
//! the two sees the other. Watching the folder with inotify would do as well, but the kernel
//! takes many milliseconds to close a watch, and there is one for each call.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::meeting::with_address;
use crate::patience::Patience;

/// The bell of one client; it comes down when this is dropped.
#[derive(Debug)]
pub(super) struct Bell {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Bell {
    /// Hangs up a bell under `name`, in the place of one that an earlier client left.
    pub fn hang(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        let bind = || with_address(folder, name, |address| UnixDatagram::bind(address));
        let socket = match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                fs::remove_file(&path)?;
                bind()?
            }
            result => result?,
        };
        let bell = Self { socket, path };
        bell.socket.set_nonblocking(true)?;
        // Domains of the local back end may be different users.
        fs::set_permissions(&bell.path, fs::Permissions::from_mode(0o666))?;
        Ok(bell)
    }

    /// Waits until it rings, at most for `at_most`.
    pub fn wait(&self, patience: Patience<'_>, at_most: Option<Duration>) -> io::Result<()> {
        patience.wait(self.socket.as_fd(), at_most)?;
        // Whatever rang, and if it rang, the client looks for itself.
        let _ = self.socket.recv(&mut [0; 1]);
        Ok(())
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Rings the bell `name`, if there is one.
pub(super) fn ring(folder: &Path, name: &str) {
    let Ok(socket) = UnixDatagram::unbound() else {
        return;
    };
    // A bell that takes no more is ringing already.
    let _ = socket.set_nonblocking(true);
    let _ = with_address(folder, name, |address| socket.send_to(&[0], address));
}
