// SPDX-License-Identifier: MIT OR Apache-2.0
//! A xenstored without Xen: a [`MemStore`] behind a Unix socket.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bulkhead_types::DomId;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::wire::{self, Decoder, Message, PAYLOAD_MAX};
use super::{MemConnection, MemStore, Permissions, Refusal, Store, StoreError, Tx, WatchId};

/// A fake xenstored; it stops listening when dropped.
#[derive(Debug)]
pub struct FakeXenstored {
    socket: PathBuf,
    stopped: Arc<AtomicBool>,
}

impl FakeXenstored {
    /// Listens on `socket`; who connects is `domain` to the store.
    pub fn listen(socket: &Path, store: MemStore, domain: DomId) -> io::Result<Self> {
        let listener = UnixListener::bind(socket)?;
        let stopped = Arc::new(AtomicBool::new(false));
        let seen = stopped.clone();
        thread::Builder::new()
            .name("fake xenstored".into())
            .spawn(move || {
                for stream in listener.incoming() {
                    if seen.load(Ordering::Acquire) {
                        break;
                    }
                    let (Ok(stream), Ok(connection)) = (stream, store.connect(domain)) else {
                        continue;
                    };
                    thread::spawn(move || Session::new(stream, connection).run());
                }
            })?;
        Ok(Self {
            socket: socket.to_owned(),
            stopped,
        })
    }
}

impl Drop for FakeXenstored {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
        // Wakes the listener, so that it sees that it has stopped.
        let _ = UnixStream::connect(&self.socket);
        let _ = fs::remove_file(&self.socket);
    }
}

struct Session {
    stream: UnixStream,
    store: MemConnection,
    decoder: Decoder,
    /// The client's own names of its watches.
    watches: BTreeMap<WatchId, (String, String)>,
}

impl Session {
    fn new(stream: UnixStream, store: MemConnection) -> Self {
        Self {
            stream,
            store,
            decoder: Decoder::default(),
            watches: BTreeMap::new(),
        }
    }

    /// Answers until the client hangs up or breaks the protocol.
    fn run(mut self) {
        let mut bytes = [0; 4096];
        loop {
            let mut fds = [
                PollFd::new(self.stream.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.store.fd(), PollFlags::POLLIN),
            ];
            if poll(&mut fds, PollTimeout::NONE).is_err() {
                return;
            }
            let asked = fds[0].any() == Some(true);
            if asked {
                match self.stream.read(&mut bytes) {
                    Ok(count) if count > 0 => self.decoder.feed(&bytes[..count]),
                    _ => return,
                }
                loop {
                    match self.decoder.next_message() {
                        Ok(Some(message)) => {
                            if self.answer(&message).is_err() {
                                return;
                            }
                        }
                        Ok(None) => break,
                        Err(wire::TooLong) => return,
                    }
                }
            }
            while let Ok(Some(event)) = self.store.next_event(Some(Duration::ZERO)) {
                let Some((_, token)) = self.watches.get(&event.watch) else {
                    continue;
                };
                let payload = wire::join(&[&event.path, token]);
                if self.send(wire::WATCH_EVENT, 0, 0, payload).is_err() {
                    return;
                }
            }
        }
    }

    fn answer(&mut self, message: &Message) -> io::Result<()> {
        let (kind, payload) = match self.act(message) {
            Ok(payload) if payload.len() <= PAYLOAD_MAX => (message.kind, payload),
            Ok(_) => (wire::ERROR, wire::join(&[Refusal::TooBig.wire_name()])),
            Err(refusal) => (wire::ERROR, wire::join(&[refusal.wire_name()])),
        };
        self.send(kind, message.request, message.transaction, payload)
    }

    fn send(
        &mut self,
        kind: u32,
        request: u32,
        transaction: u32,
        payload: Vec<u8>,
    ) -> io::Result<()> {
        let message = Message {
            kind,
            request,
            transaction,
            payload,
        };
        let bytes = message.encode().map_err(|_| io::ErrorKind::InvalidData)?;
        self.stream.write_all(&bytes)
    }

    fn act(&mut self, message: &Message) -> Result<Vec<u8>, Refusal> {
        let tx = Tx(message.transaction);
        let end = message
            .payload
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(Refusal::Invalid)?;
        let path = std::str::from_utf8(&message.payload[..end]).map_err(|_| Refusal::Invalid)?;
        let rest = &message.payload[end + 1..];
        let text = || {
            wire::texts(rest)
                .and_then(|texts| texts.first().copied())
                .ok_or(Refusal::Invalid)
        };
        let store = &mut self.store;
        let ok = |()| wire::join(&["OK"]);
        let refusal = |error| match error {
            StoreError::Refused { refusal, .. } => refusal,
            _ => Refusal::Other("EIO".into()),
        };
        match message.kind {
            wire::READ => store.read(tx, path).map_err(refusal),
            wire::WRITE => store.write(tx, path, rest).map(ok).map_err(refusal),
            wire::MKDIR => store.mkdir(tx, path).map(ok).map_err(refusal),
            wire::RM => store.rm(tx, path).map(ok).map_err(refusal),
            wire::DIRECTORY => {
                let names = store.list(tx, path).map_err(refusal)?;
                Ok(wire::join(
                    &names.iter().map(String::as_str).collect::<Vec<_>>(),
                ))
            }
            wire::DIRECTORY_PART => {
                let offset = text()?.parse().map_err(|_| Refusal::Invalid)?;
                directory_part(&store.list(tx, path).map_err(refusal)?, offset)
            }
            wire::GET_PERMS => Ok(store.permissions(tx, path).map_err(refusal)?.encode()),
            wire::SET_PERMS => {
                let permissions = Permissions::decode(rest).ok_or(Refusal::Invalid)?;
                store
                    .set_permissions(tx, path, &permissions)
                    .map(ok)
                    .map_err(refusal)
            }
            wire::TRANSACTION_START => Ok(wire::join(&[&store
                .begin()
                .map_err(refusal)?
                .0
                .to_string()])),
            wire::TRANSACTION_END => match path {
                "T" | "F" => store.end(tx, path == "T").map(ok).map_err(refusal),
                _ => Err(Refusal::Invalid),
            },
            wire::IS_DOMAIN_INTRODUCED => {
                let domain = path.parse().map_err(|_| Refusal::Invalid)?;
                let there = store.is_introduced(domain).map_err(refusal)?;
                Ok(wire::join(&[if there { "T" } else { "F" }]))
            }
            wire::WATCH => {
                let name = (path.to_owned(), text()?.to_owned());
                if self.watches.values().any(|watch| *watch == name) {
                    return Err(Refusal::Exists);
                }
                let watch = store.watch(path).map_err(refusal)?;
                self.watches.insert(watch, name);
                Ok(ok(()))
            }
            wire::UNWATCH => {
                let name = (path.to_owned(), text()?.to_owned());
                let found = self.watches.iter().find(|(_, watch)| **watch == name);
                let watch = *found.ok_or(Refusal::NotFound)?.0;
                self.watches.remove(&watch);
                store.unwatch(watch).map(ok).map_err(refusal)
            }
            _ => Err(Refusal::Other("ENOSYS".into())),
        }
    }
}

/// As many whole names as fit, after the directory's "generation": here its content's length.
fn directory_part(names: &[String], offset: usize) -> Result<Vec<u8>, Refusal> {
    let all = wire::join(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let rest = all.get(offset..).ok_or(Refusal::Invalid)?;
    let mut part = wire::join(&[&all.len().to_string()]);
    for name in rest.split_inclusive(|byte| *byte == 0) {
        if part.len() + name.len() >= PAYLOAD_MAX {
            return Ok(part);
        }
        part.extend(name);
    }
    part.push(0);
    Ok(part)
}
