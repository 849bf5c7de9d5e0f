// SPDX-License-Identifier: MIT OR Apache-2.0
//! One domain's connection to a store in memory.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bulkhead_types::DomId;

use super::super::events::Events;
use super::super::path::{domain_path, is_special, is_valid, resolve};
use super::super::{Access, Permissions, Refusal, Store, StoreError, Tx, WatchEvent, WatchId};
use super::tree::{Change, Node, Tree};
use super::{Client, MemStore, Shared, TRANSACTIONS_MAX, Transaction, WATCHES_MAX};
use crate::poll::wait_readable;

/// A connection to a [`MemStore`] on behalf of one domain.
#[derive(Debug)]
pub struct MemConnection {
    store: MemStore,
    id: u64,
    domain: DomId,
    /// Readable when events wait.
    bell: UnixStream,
}

impl MemStore {
    /// Connects as `domain`. Fails when no descriptor is left.
    pub fn connect(&self, domain: DomId) -> io::Result<MemConnection> {
        let (bell, far) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let mut shared = self.lock();
        shared.next += 1;
        let id = shared.next;
        let client = Client {
            domain,
            events: Events::default(),
            watched: BTreeMap::new(),
            bell: far,
        };
        shared.clients.insert(id, client);
        drop(shared);
        Ok(MemConnection {
            store: self.clone(),
            id,
            domain,
            bell,
        })
    }
}

impl Drop for MemConnection {
    fn drop(&mut self) {
        let mut shared = self.store.lock();
        shared.clients.remove(&self.id);
        shared
            .transactions
            .retain(|_, transaction| transaction.client != self.id);
    }
}

impl MemConnection {
    /// Does one thing to the store under its lock, naming it in an error.
    fn act<T>(
        &mut self,
        action: &'static str,
        path: &str,
        act: impl FnOnce(&mut Shared, &str) -> Result<T, Refusal>,
    ) -> Result<T, StoreError> {
        let refused = |refusal| StoreError::Refused {
            action,
            path: path.to_owned(),
            refusal,
        };
        if !is_valid(path) {
            return Err(refused(Refusal::Invalid));
        }
        let full = resolve(self.domain, path);
        act(&mut self.store.lock(), &full).map_err(refused)
    }

    fn look<T>(
        &mut self,
        action: &'static str,
        tx: Tx,
        path: &str,
        look: impl FnOnce(&Tree, &Node, &str) -> T,
    ) -> Result<T, StoreError> {
        let (domain, id) = (self.domain, self.id);
        self.act(action, path, |shared, path| {
            let tree = match transaction(shared, id, tx)? {
                Some(transaction) => {
                    transaction.touch(path);
                    &transaction.tree
                }
                None => &shared.tree,
            };
            tree.get(domain, path, Access::Read)
                .map(|node| look(tree, node, path))
        })
    }

    fn change(
        &mut self,
        action: &'static str,
        tx: Tx,
        path: &str,
        change: impl FnOnce(String) -> Change,
    ) -> Result<(), StoreError> {
        let (domain, id) = (self.domain, self.id);
        self.act(action, path, |shared, path| {
            if is_special(path) {
                return Err(Refusal::Invalid);
            }
            let change = change(path.to_owned());
            match transaction(shared, id, tx)? {
                Some(transaction) => {
                    transaction.touch(path);
                    transaction.tree.apply(domain, &change)?;
                    transaction.changes.push(change);
                    Ok(())
                }
                None => shared.change(domain, &change),
            }
        })
    }
}

/// The transaction meant, which must be this connection's.
fn transaction(
    shared: &mut Shared,
    client: u64,
    tx: Tx,
) -> Result<Option<&mut Transaction>, Refusal> {
    if tx == Tx::NONE {
        return Ok(None);
    }
    match shared.transactions.get_mut(&tx.0) {
        Some(transaction) if transaction.client == client => Ok(Some(transaction)),
        _ => Err(Refusal::NotFound),
    }
}

impl Transaction {
    /// Remembers how a node stood when this transaction began.
    fn touch(&mut self, path: &str) {
        let generation = self.base.generation(path);
        self.touched.entry(path.to_owned()).or_insert(generation);
    }
}

impl Store for MemConnection {
    fn read(&mut self, tx: Tx, path: &str) -> Result<Vec<u8>, StoreError> {
        self.look("read", tx, path, |_, node, _| node.value.clone())
    }

    fn write(&mut self, tx: Tx, path: &str, value: &[u8]) -> Result<(), StoreError> {
        self.change("write", tx, path, |path| {
            Change::Write(path, value.to_vec())
        })
    }

    fn mkdir(&mut self, tx: Tx, path: &str) -> Result<(), StoreError> {
        self.change("make", tx, path, Change::Mkdir)
    }

    fn rm(&mut self, tx: Tx, path: &str) -> Result<(), StoreError> {
        self.change("remove", tx, path, Change::Rm)
    }

    fn list(&mut self, tx: Tx, path: &str) -> Result<Vec<String>, StoreError> {
        self.look("list", tx, path, |tree, _, path| tree.children(path))
    }

    fn permissions(&mut self, tx: Tx, path: &str) -> Result<Permissions, StoreError> {
        self.look("read the permissions of", tx, path, |_, node, _| {
            node.permissions.clone()
        })
    }

    fn set_permissions(
        &mut self,
        tx: Tx,
        path: &str,
        permissions: &Permissions,
    ) -> Result<(), StoreError> {
        self.change("set the permissions of", tx, path, |path| {
            Change::SetPermissions(path, permissions.clone())
        })
    }

    fn begin(&mut self) -> Result<Tx, StoreError> {
        let (domain, id) = (self.domain, self.id);
        self.act("begin a transaction", "/", |shared, _| {
            let clients = &shared.clients;
            let same =
                |t: &&Transaction| clients.get(&t.client).is_some_and(|c| c.domain == domain);
            if domain != DomId::DOM0
                && shared.transactions.values().filter(same).count() >= TRANSACTIONS_MAX
            {
                return Err(Refusal::Quota);
            }
            shared.next += 1;
            // Numbers are reused after four thousand million; nobody keeps one so long.
            let number = (shared.next as u32).max(1);
            let (base, tree, touched) = (shared.tree.clone(), shared.tree.clone(), BTreeMap::new());
            shared.transactions.insert(
                number,
                Transaction {
                    client: id,
                    base,
                    tree,
                    touched,
                    changes: Vec::new(),
                },
            );
            Ok(Tx(number))
        })
    }

    fn end(&mut self, tx: Tx, commit: bool) -> Result<(), StoreError> {
        let (domain, id) = (self.domain, self.id);
        self.act("end a transaction", "/", |shared, _| {
            transaction(shared, id, tx)?.ok_or(Refusal::NotFound)?;
            match shared.transactions.remove(&tx.0) {
                Some(transaction) if commit => shared.commit(domain, transaction),
                _ => Ok(()),
            }
        })
    }

    fn watch(&mut self, path: &str) -> Result<WatchId, StoreError> {
        let (domain, id) = (self.domain, self.id);
        let given = path.to_owned();
        self.act("watch", path, |shared, _| {
            let same = |c: &&Client| c.domain == domain;
            let set: usize = shared
                .clients
                .values()
                .filter(same)
                .map(|c| c.watched.len())
                .sum();
            if domain != DomId::DOM0 && set >= WATCHES_MAX {
                return Err(Refusal::TooBig);
            }
            shared.next += 1;
            let watch = WatchId(shared.next);
            let client = shared.clients.get_mut(&id).ok_or(Refusal::Invalid)?;
            client.watched.insert(watch, given.clone());
            client
                .events
                .push(WatchEvent { watch, path: given }, &client.watched);
            let _ = io::Write::write(&mut client.bell, &[0]);
            Ok(watch)
        })
    }

    fn unwatch(&mut self, watch: WatchId) -> Result<(), StoreError> {
        if let Some(client) = self.store.lock().clients.get_mut(&self.id) {
            client.watched.remove(&watch);
            client.events.forget(watch);
        }
        Ok(())
    }

    fn is_introduced(&mut self, domain: DomId) -> Result<bool, StoreError> {
        let own = self.domain;
        self.act("look for", &domain_path(domain), |shared, _| match own {
            DomId::DOM0 => Ok(shared.introduced.contains(&domain)),
            _ => Err(Refusal::Denied),
        })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn next_event(&mut self, timeout: Option<Duration>) -> Result<Option<WatchEvent>, StoreError> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            // The bell first: what rings after this is not lost.
            let mut rings = [0; 64];
            while matches!(self.bell.read(&mut rings), Ok(count) if count == rings.len()) {}
            let event = self
                .store
                .lock()
                .clients
                .get_mut(&self.id)
                .and_then(|client| {
                    let event = client.events.pop()?;
                    // Others may wait behind it: the descriptor stays readable for them.
                    let _ = io::Write::write(&mut client.bell, &[0]);
                    Some(event)
                });
            if event.is_some() {
                return Ok(event);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if !wait_readable(self.bell.as_fd(), left)? {
                return Ok(None);
            }
        }
    }
}
