// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sockets in a folder where one domain waits for another.
//!
//! The socket gets its name only when somebody listens on it, by a rename, so that a
//! client never finds one that refuses, and one that does refuse is a dead server's.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::OpenError;
use crate::stream::wait_readable;

/// The longest path that fits into a socket address, without its final NUL.
const ADDRESS_MAX: usize = 107;
/// How often to look when the kernel has no inotify instance left to tell us.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// A listening socket with a name; the name goes when the value does.
#[derive(Debug)]
pub(crate) struct MeetingPoint {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode under that name, to remove only what is ours.
    identity: (u64, u64),
}

impl MeetingPoint {
    /// Listens under `name` in `folder`, in the place of whoever did before.
    pub fn open(folder: &Path, name: &str) -> Result<Self, OpenError> {
        let path = folder.join(name);
        let unusable = |source| OpenError::Folder {
            folder: folder.to_owned(),
            source,
        };
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        let unnamed = format!(".{name}.{}.{turn}", std::process::id());
        let listener = with_address(folder, &unnamed, |address| UnixListener::bind(address))
            .map_err(unusable)?;
        let named = (|| {
            listener.set_nonblocking(true)?;
            // Domains of the local back end may be different users.
            fs::set_permissions(folder.join(&unnamed), fs::Permissions::from_mode(0o666))?;
            let found = fs::metadata(folder.join(&unnamed))?;
            fs::rename(folder.join(&unnamed), &path)?;
            Ok((found.dev(), found.ino()))
        })();
        match named {
            Ok(identity) => Ok(Self {
                listener,
                path,
                identity,
            }),
            Err(source) => {
                let _ = fs::remove_file(folder.join(&unnamed));
                Err(unusable(source))
            }
        }
    }

    /// The listening socket, to poll.
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// The next client, if one waits.
    pub fn accept(&self) -> io::Result<Option<UnixStream>> {
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

impl Drop for MeetingPoint {
    fn drop(&mut self) {
        let ours = |found: fs::Metadata| (found.dev(), found.ino()) == self.identity;
        if fs::metadata(&self.path).is_ok_and(ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Connects to `name` in `folder` as soon as somebody listens there; `None` when the
/// deadline passed first.
pub(crate) fn arrive(
    folder: &Path,
    name: &str,
    deadline: Option<Instant>,
) -> Result<Option<UnixStream>, OpenError> {
    let unusable = |source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    };
    if let Some(socket) = try_connect(folder, name).map_err(unusable)? {
        return Ok(Some(socket));
    }
    let news = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
    if let Some(news) = &news {
        let names = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        news.add_watch(folder, names)
            .map_err(|error| unusable(error.into()))?;
    }
    loop {
        // Looked at after the watch is in place: nothing can slip in between.
        if let Some(socket) = try_connect(folder, name).map_err(unusable)? {
            return Ok(Some(socket));
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Ok(None);
        }
        match &news {
            Some(news) => {
                use std::os::fd::AsFd;
                if wait_readable([news.as_fd()], left).map_err(unusable)? {
                    // Whatever it was, the loop looks for the name itself.
                    let _ = news.read_events();
                }
            }
            None => std::thread::sleep(left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN))),
        }
    }
}

/// Connects if somebody listens.
fn try_connect(folder: &Path, name: &str) -> io::Result<Option<UnixStream>> {
    match with_address(folder, name, |address| UnixStream::connect(address)) {
        Ok(socket) => Ok(Some(socket)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted => {
                // The folder itself must be there, or nobody can ever come.
                fs::metadata(folder).map(|_| None)
            }
            _ => Err(error),
        },
    }
}

/// Calls `act` with a path to `name` in `folder` that is short enough for an address.
fn with_address<T>(
    folder: &Path,
    name: &str,
    act: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    let path = folder.join(name);
    if path.as_os_str().len() <= ADDRESS_MAX {
        return act(&path);
    }
    let opened = fs::File::open(folder)?;
    act(Path::new(&format!(
        "/proc/self/fd/{}/{name}",
        opened.as_raw_fd()
    )))
}
