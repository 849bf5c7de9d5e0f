// SPDX-License-Identifier: MIT OR Apache-2.0
//! The client of a real xenstored.

use std::collections::BTreeMap;
use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bulkhead_types::DomId;

use super::events::Events;
use super::wire::{self, Decoder, Message};
use super::{Permissions, Refusal, Store, StoreError, Tx, WatchEvent, WatchId, path};
use crate::poll::wait_readable;

/// Moves xenstored's socket elsewhere, as for Xen's own tools.
const SOCKET: &str = "XENSTORED_PATH";
/// Where xenstored listens in dom0.
const SOCKETS: [&str; 2] = ["/run/xenstored/socket", "/var/run/xenstored/socket"];
/// The kernel's door to xenstored, the only one in a guest.
const DEVICE: &str = "/dev/xen/xenbus";
/// A directory that changes while it is read in parts is read again, so often.
const LIST_TRIES: usize = 20;

/// A connection to xenstored.
///
/// Answers are waited for; xenstored is trusted to give them.
#[derive(Debug)]
pub struct XenStore {
    connection: File,
    decoder: Decoder,
    events: Events,
    watched: BTreeMap<WatchId, String>,
    requests: u32,
    watches: u64,
}

impl XenStore {
    /// Connects through `XENSTORED_PATH`, else xenstored's socket, else the kernel's device.
    pub fn open() -> Result<Self, StoreError> {
        if let Some(chosen) = env::var_os(SOCKET) {
            return Self::at_socket(&PathBuf::from(chosen));
        }
        for socket in SOCKETS {
            if let Ok(store) = Self::at_socket(Path::new(socket)) {
                return Ok(store);
            }
        }
        let device = OpenOptions::new().read(true).write(true).open(DEVICE);
        device
            .map(Self::over)
            .map_err(|source| StoreError::Unreachable {
                at: DEVICE.into(),
                source,
            })
    }

    /// Connects to the socket of a xenstored.
    pub fn at_socket(socket: &Path) -> Result<Self, StoreError> {
        let stream = UnixStream::connect(socket).map_err(|source| StoreError::Unreachable {
            at: socket.to_owned(),
            source,
        })?;
        Ok(Self::over(File::from(OwnedFd::from(stream))))
    }

    fn over(connection: File) -> Self {
        Self {
            connection,
            decoder: Decoder::default(),
            events: Events::default(),
            watched: BTreeMap::new(),
            requests: 0,
            watches: 0,
        }
    }

    /// Sends a request about `path` and waits for its answer.
    fn ask(
        &mut self,
        action: &'static str,
        path: &str,
        kind: u32,
        tx: Tx,
        payload: Vec<u8>,
    ) -> Result<Message, StoreError> {
        let refused = |refusal| StoreError::Refused {
            action,
            path: path.to_owned(),
            refusal,
        };
        self.requests = self.requests.wrapping_add(1);
        let request = self.requests;
        let message = Message {
            kind,
            request,
            transaction: tx.0,
            payload,
        };
        let bytes = message.encode().map_err(|_| refused(Refusal::TooBig))?;
        self.connection.write_all(&bytes)?;
        loop {
            let answer = self.receive()?;
            match answer.kind {
                wire::WATCH_EVENT => self.take_event(&answer)?,
                _ if answer.request != request => {
                    return Err(StoreError::Broken("it answered a question nobody asked"));
                }
                wire::ERROR => {
                    let name = answer.texts().unwrap_or_default();
                    return Err(refused(Refusal::from_wire(name.first().unwrap_or(&"EIO"))));
                }
                answered if answered == kind => return Ok(answer),
                _ => return Err(StoreError::Broken("it answered another question")),
            }
        }
    }

    /// Sends a request whose payload is a path and more texts.
    fn ask_texts(
        &mut self,
        action: &'static str,
        kind: u32,
        tx: Tx,
        texts: &[&str],
    ) -> Result<Message, StoreError> {
        let path = texts.first().copied().unwrap_or_default();
        // A NUL would end the path and begin something else.
        if !path::is_valid(path) {
            let (path, refusal) = (path.to_owned(), Refusal::Invalid);
            return Err(StoreError::Refused {
                action,
                path,
                refusal,
            });
        }
        self.ask(action, path, kind, tx, wire::join(texts))
    }

    /// Waits for the next message of whatever kind.
    fn receive(&mut self) -> Result<Message, StoreError> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(message);
            }
            let mut bytes = [0; 4096];
            match self.connection.read(&mut bytes) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(count) => self.decoder.feed(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<Message>, StoreError> {
        let broken = |_| StoreError::Broken("a message is longer than the limit");
        self.decoder.next_message().map_err(broken)
    }

    fn take_event(&mut self, message: &Message) -> Result<(), StoreError> {
        let broken = StoreError::Broken("a watch event without path and token");
        let texts = message.texts().unwrap_or_default();
        let [path, token, ..] = texts.as_slice() else {
            return Err(broken);
        };
        let watch = token.parse().map(WatchId).map_err(|_| broken)?;
        // Events of a watch that was taken back meanwhile are nobody's.
        if self.watched.contains_key(&watch) {
            self.events.push(
                WatchEvent {
                    watch,
                    path: (*path).to_owned(),
                },
                &self.watched,
            );
        }
        Ok(())
    }

    /// Reads a directory too large for one answer, in parts of one generation.
    fn list_in_parts(&mut self, tx: Tx, path: &str) -> Result<Vec<String>, StoreError> {
        let broken = StoreError::Broken("a part of a directory is not what it should be");
        'again: for _ in 0..LIST_TRIES {
            let mut generation = None;
            let mut names = Vec::new();
            loop {
                let offset = names.len().to_string();
                let answer = self.ask_texts("list", wire::DIRECTORY_PART, tx, &[path, &offset])?;
                let Some(end) = answer.payload.iter().position(|byte| *byte == 0) else {
                    return Err(broken);
                };
                let (now, part) = answer.payload.split_at(end + 1);
                if generation.get_or_insert(now.to_vec()) != now {
                    continue 'again;
                }
                // The empty name that ends the last part is one more NUL.
                let (part, last) = match part {
                    [rest @ .., 0, 0] => (&part[..rest.len() + 1], true),
                    [0] => (&part[..0], true),
                    part => (part, false),
                };
                if part.is_empty() && !last {
                    return Err(broken);
                }
                names.extend_from_slice(part);
                if last {
                    let names = wire::texts(&names).ok_or(broken)?;
                    return Ok(names.into_iter().map(str::to_owned).collect());
                }
            }
        }
        Err(StoreError::Broken(
            "a directory changes faster than it can be read",
        ))
    }
}

impl Store for XenStore {
    fn read(&mut self, tx: Tx, path: &str) -> Result<Vec<u8>, StoreError> {
        Ok(self.ask_texts("read", wire::READ, tx, &[path])?.payload)
    }

    fn write(&mut self, tx: Tx, path: &str, value: &[u8]) -> Result<(), StoreError> {
        if !path::is_valid(path) {
            let refusal = Refusal::Invalid;
            return Err(StoreError::Refused {
                action: "write",
                path: path.to_owned(),
                refusal,
            });
        }
        let payload = [path.as_bytes(), b"\0", value].concat();
        self.ask("write", path, wire::WRITE, tx, payload).map(drop)
    }

    fn mkdir(&mut self, tx: Tx, path: &str) -> Result<(), StoreError> {
        self.ask_texts("make", wire::MKDIR, tx, &[path]).map(drop)
    }

    fn rm(&mut self, tx: Tx, path: &str) -> Result<(), StoreError> {
        self.ask_texts("remove", wire::RM, tx, &[path]).map(drop)
    }

    fn list(&mut self, tx: Tx, path: &str) -> Result<Vec<String>, StoreError> {
        match self.ask_texts("list", wire::DIRECTORY, tx, &[path]) {
            Ok(answer) => {
                let names = answer
                    .texts()
                    .ok_or(StoreError::Broken("a directory is not a list of names"))?;
                Ok(names.into_iter().map(str::to_owned).collect())
            }
            Err(error) if error.is(&Refusal::TooBig) => self.list_in_parts(tx, path),
            Err(error) => Err(error),
        }
    }

    fn permissions(&mut self, tx: Tx, path: &str) -> Result<Permissions, StoreError> {
        let answer = self.ask_texts("read the permissions of", wire::GET_PERMS, tx, &[path])?;
        Permissions::decode(&answer.payload)
            .ok_or(StoreError::Broken("permissions nobody can read"))
    }

    fn set_permissions(
        &mut self,
        tx: Tx,
        path: &str,
        permissions: &Permissions,
    ) -> Result<(), StoreError> {
        let action = "set the permissions of";
        if !path::is_valid(path) {
            return Err(StoreError::Refused {
                action,
                path: path.to_owned(),
                refusal: Refusal::Invalid,
            });
        }
        let payload = [path.as_bytes(), b"\0", &permissions.encode()].concat();
        self.ask(action, path, wire::SET_PERMS, tx, payload)
            .map(drop)
    }

    fn begin(&mut self) -> Result<Tx, StoreError> {
        let answer = self.ask(
            "begin a transaction",
            "/",
            wire::TRANSACTION_START,
            Tx::NONE,
            vec![0],
        )?;
        let number = answer.texts().and_then(|texts| texts.first()?.parse().ok());
        match number {
            Some(number) if number != 0 => Ok(Tx(number)),
            _ => Err(StoreError::Broken("a transaction without a number")),
        }
    }

    fn end(&mut self, tx: Tx, commit: bool) -> Result<(), StoreError> {
        let verdict = if commit { b"T\0" } else { b"F\0" };
        self.ask(
            "end a transaction",
            "/",
            wire::TRANSACTION_END,
            tx,
            verdict.to_vec(),
        )
        .map(drop)
    }

    fn watch(&mut self, path: &str) -> Result<WatchId, StoreError> {
        self.watches += 1;
        let watch = WatchId(self.watches);
        // Known before the first event, which may come before the answer.
        self.watched.insert(watch, path.to_owned());
        match self.ask_texts(
            "watch",
            wire::WATCH,
            Tx::NONE,
            &[path, &watch.0.to_string()],
        ) {
            Ok(_) => Ok(watch),
            Err(error) => {
                self.watched.remove(&watch);
                Err(error)
            }
        }
    }

    fn unwatch(&mut self, watch: WatchId) -> Result<(), StoreError> {
        let Some(path) = self.watched.remove(&watch) else {
            return Ok(());
        };
        self.events.forget(watch);
        self.ask_texts(
            "stop watching",
            wire::UNWATCH,
            Tx::NONE,
            &[&path, &watch.0.to_string()],
        )
        .map(drop)
    }

    fn is_introduced(&mut self, domain: DomId) -> Result<bool, StoreError> {
        let payload = wire::join(&[&domain.to_string()]);
        let path = path::domain_path(domain);
        let answer = self.ask(
            "look for",
            &path,
            wire::IS_DOMAIN_INTRODUCED,
            Tx::NONE,
            payload,
        )?;
        Ok(answer.payload.starts_with(b"T"))
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }

    fn next_event(&mut self, timeout: Option<Duration>) -> Result<Option<WatchEvent>, StoreError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            if let Some(event) = self.events.pop() {
                return Ok(Some(event));
            }
            if let Some(message) = self.buffered()? {
                if message.kind != wire::WATCH_EVENT {
                    return Err(StoreError::Broken("it answered a question nobody asked"));
                }
                self.take_event(&message)?;
                continue;
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if !wait_readable(self.connection.as_fd(), left)? {
                return Ok(None);
            }
            let mut bytes = [0; 4096];
            match self.connection.read(&mut bytes) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(count) => self.decoder.feed(&bytes[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
