// SPDX-License-Identifier: MIT OR Apache-2.0
//! How whoever came first to a meeting learns that the other one is there.
//!
//! A client that finds no server hangs up a bell, a listening socket of its own in the folder, and
//! looks once more. A server comes to the bell with the memory, and needs no name; where there is
//! none it takes its name, and looks for the bell once more. Whichever order these happen in, one
//! of the two sees the other. If both do, the name goes, and they meet at the bell. Watching the
//! folder with inotify would do as well, but the kernel takes many milliseconds to close a
//! watch, and there is one for each call.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use super::meeting::with_address;
use crate::patience::Patience;

/// The bell of one client; it comes down when this is dropped.
#[derive(Debug)]
pub(super) struct Bell {
    listener: UnixListener,
    path: PathBuf,
}

impl Bell {
    /// Hangs up a bell under `name`, in the place of one that an earlier client left.
    pub fn hang(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        let bind = || with_address(folder, name, |address| UnixListener::bind(address));
        let listener = match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                fs::remove_file(&path)?;
                bind()?
            }
            result => result?,
        };
        let bell = Self { listener, path };
        bell.listener.set_nonblocking(true)?;
        // Domains of the local back end may be different users.
        fs::set_permissions(&bell.path, fs::Permissions::from_mode(0o666))?;
        Ok(bell)
    }

    /// Waits until it rings, at most for `at_most`: the connection of who came, which may
    /// bring nothing.
    pub fn wait(
        &self,
        patience: Patience<'_>,
        at_most: Option<Duration>,
    ) -> io::Result<Option<UnixStream>> {
        patience.wait(self.listener.as_fd(), at_most)?;
        match self.listener.accept() {
            Ok((socket, _)) => Ok(Some(socket)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock
                | io::ErrorKind::Interrupted
                | io::ErrorKind::ConnectionAborted => Ok(None),
                _ => Err(error),
            },
        }
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Comes to the bell `name`, if there is one that takes anybody. Never waits for who hung it up.
pub(super) fn come(folder: &Path, name: &str) -> Option<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None).ok()?;
    let connected = with_address(folder, name, |address| {
        connect(socket.as_raw_fd(), &UnixAddr::new(address)?).map_err(io::Error::from)
    });
    connected.ok().map(|()| UnixStream::from(socket))
}
