// SPDX-License-Identifier: GPL-3.0-or-later
//! The sockets: one request per connection, always answered.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_admin::{REQUEST_MAX, Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::failure::Failure;
use crate::work::Manager;

/// Connections at the same time; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 512;
/// How long a caller may take to send its request.
const REQUEST_PATIENCE: Duration = Duration::from_secs(60);
/// How long a reader may take to read a reply or one document.
const READER_PATIENCE: Duration = Duration::from_secs(30);
/// The mode of both sockets: their group is the one that may rule the system.
const SOCKET_MODE: u32 = 0o660;

/// Which of the two sockets it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// `admin.*` and our own methods.
    Admin,
    /// `internal.*`, for the fellow daemons.
    Internal,
}

/// Opens a socket. One that is left behind is replaced, one that is in use is an error.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    if StdUnixStream::connect(path).is_ok() {
        let message = format!("another bulkheadd serves {}", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, message));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener)
}

/// Answers on a socket for ever.
pub async fn serve(manager: Rc<Manager>, listener: UnixListener, door: Door) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let manager = manager.clone();
                tokio::task::spawn_local(async move {
                    if let Err(error) = converse(&manager, stream, door).await {
                        tracing::debug!("a caller went away: {error}");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::error!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(manager: &Rc<Manager>, mut stream: UnixStream, door: Door) -> io::Result<()> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(REQUEST_MAX + 1).unwrap_or(u64::MAX);
    let mut limited = (&mut stream).take(limit);
    tokio::time::timeout(REQUEST_PATIENCE, limited.read_to_end(&mut bytes)).await??;
    let request = match Request::decode(&bytes) {
        Ok(request) => request,
        Err(error) => {
            // The protocol answers a malformed request by hanging up.
            tracing::warn!("a request is dropped: {error}");
            return Ok(());
        }
    };
    match (door, request.method.name().as_str()) {
        (Door::Internal, "internal.WatchSystemInfo") => watch(manager, stream).await,
        (Door::Internal, "internal.GetSystemInfo") => {
            let info = manager.system_info();
            send(&mut stream, &[b"0\0", info.as_bytes()].concat()).await
        }
        (Door::Internal, method) => {
            let failure =
                Failure::Protocol(format!("there is no method `{method}` on this socket"));
            send(&mut stream, &Reply::Exception(failure.exception()).encode()).await
        }
        (Door::Admin, _) => {
            let reply = answered(manager, request).await;
            send(&mut stream, &reply.encode()).await
        }
    }
}

/// Carries a request out to its end, whether the caller waits or not; a panic is an answer.
async fn answered(manager: &Rc<Manager>, request: Request) -> Reply {
    let manager = manager.clone();
    let work = tokio::task::spawn_local(async move { super::answer(&manager, request).await });
    work.await.unwrap_or_else(|error| {
        tracing::error!("a request met a defect: {error}");
        let failure = Failure::Defect("the request could not be carried out".to_owned());
        Reply::Exception(failure.exception())
    })
}

/// Sends the system information at once and after each change, a line each.
async fn watch(manager: &Rc<Manager>, mut stream: UnixStream) -> io::Result<()> {
    let mut changes = manager.changes();
    send(&mut stream, b"0\0").await?;
    let mut last: Option<Rc<str>> = None;
    loop {
        changes.mark_unchanged();
        let info = manager.system_info();
        // Not every change concerns this document.
        if last.as_ref() != Some(&info) {
            send(&mut stream, info.as_bytes()).await?;
            send(&mut stream, b"\n").await?;
            last = Some(info);
        }
        if changes.changed().await.is_err() {
            return Ok(());
        }
    }
}

async fn send(stream: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    tokio::time::timeout(READER_PATIENCE, stream.write_all(bytes)).await?
}
