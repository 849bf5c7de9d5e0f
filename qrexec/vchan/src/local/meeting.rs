// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sockets in a folder where one domain waits for another.
//!
//! The socket gets its name only when somebody listens on it, by a rename, so that a
//! client of ours never finds one that refuses. One that does refuse is a dead server's, or one
//! of Qubes' vchan simulator, which gives the name first and listens a moment later.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bulkhead_types::{DomId, Port};

use super::bell::{self, Bell};
use crate::OpenError;
use crate::patience::Patience;

/// The longest path that fits into a socket address, without its final NUL.
const ADDRESS_MAX: usize = 107;
/// When to look again for a server that comes to no bell; twice as long after each time.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// The longest time between two looks.
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(50);

/// Who meets whom for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meeting {
    /// `ring` or `vchan`, the beginning of the socket's name.
    pub kind: &'static str,
    /// Who waits under that name.
    pub server: DomId,
    /// Who comes.
    pub client: DomId,
    /// For which of their channels.
    pub port: Port,
    /// Whether every server brings the channel to the client's bell. Other programs than ours do not.
    pub comes: bool,
}

impl Meeting {
    /// The server's name in the folder.
    fn name(&self) -> String {
        let Self {
            kind,
            server,
            client,
            port,
            ..
        } = self;
        format!("{kind}.{server}.{client}.{port}.sock")
    }

    /// The client's bell; like all names it begins with whose it is.
    pub(super) fn bell(&self) -> String {
        let Self {
            kind,
            server,
            client,
            port,
            ..
        } = self;
        format!("bell.{client}.{server}.{port}.{kind}")
    }
}

/// A listening socket with a name; the name goes when the value does.
#[derive(Debug)]
pub(crate) struct MeetingPoint {
    listener: UnixListener,
    name: Name,
}

/// The name of a listening socket. It goes when this is dropped.
#[derive(Debug)]
struct Name {
    path: PathBuf,
    /// Device and inode under that name, to remove only what is ours.
    identity: (u64, u64),
}

impl MeetingPoint {
    /// Takes away the name of whoever listened before.
    pub fn clear(folder: &Path, meeting: Meeting) {
        // Mostly there was nobody.
        let _ = fs::remove_file(folder.join(meeting.name()));
    }

    /// Listens in `folder`, in the place of whoever did before. A client that waits still has to be told.
    pub fn open(folder: &Path, meeting: Meeting) -> Result<Self, OpenError> {
        let name = meeting.name();
        let path = folder.join(&name);
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
                name: Name { path, identity },
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

    /// Takes the name back. Until the socket is closed, whoever came waits.
    pub fn take_back(self) -> UnixListener {
        drop(self.name);
        self.listener
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

impl Drop for Name {
    fn drop(&mut self) {
        let ours = |found: fs::Metadata| (found.dev(), found.ino()) == self.identity;
        if fs::metadata(&self.path).is_ok_and(ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Tells a client that waits that there is a name now.
pub(crate) fn ring(folder: &Path, meeting: Meeting) {
    drop(bell::come(folder, &meeting.bell()));
}

/// Connects in `folder` as soon as the server is there; `None` when the wait was over first.
///
/// `greet` makes of a connection what the client needs. Where it is nothing, that was no server, or
/// one that left: perhaps another one comes.
pub(crate) fn arrive<T>(
    folder: &Path,
    meeting: Meeting,
    patience: Patience<'_>,
    mut greet: impl FnMut(UnixStream) -> Result<Option<T>, OpenError>,
) -> Result<Option<T>, OpenError> {
    let unusable = |source| OpenError::Folder {
        folder: folder.to_owned(),
        source,
    };
    let name = meeting.name();
    let mut greet = |came: Option<UnixStream>| came.map_or(Ok(None), &mut greet);
    let look = || try_connect(folder, &name).map_err(unusable);
    if let Some(met) = greet(look()?)? {
        return Ok(Some(met));
    }
    let bell = Bell::hang(folder, &meeting.bell()).ok();
    let mut pause = LOOK_AGAIN;
    loop {
        // Looked at after the bell is in place: nothing can slip in between.
        if let Some(met) = greet(look()?)? {
            return Ok(Some(met));
        }
        if patience.is_over().map_err(unusable)? {
            return Ok(None);
        }
        let look_again = (!meeting.comes).then_some(pause);
        match &bell {
            Some(bell) => {
                let came = bell.wait(patience, look_again).map_err(unusable)?;
                if let Some(met) = greet(came.filter(|_| meeting.comes))? {
                    return Ok(Some(met));
                }
            }
            None => std::thread::sleep(pause),
        }
        pause = (pause * 2).min(LOOK_AGAIN_MAX);
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
pub(super) fn with_address<T>(
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
