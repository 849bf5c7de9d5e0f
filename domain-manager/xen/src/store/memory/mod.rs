// SPDX-License-Identifier: MIT OR Apache-2.0
//! A store inside this process, with the semantics of xenstored where they matter here:
//! permissions and their inheritance, transactions that conflict, watches, and the quotas
//! that a busy guest runs into.

mod connection;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bulkhead_types::DomId;

use super::events::Events;
use super::path::{domain_path, is_special, is_within};
use super::{Access, Refusal, WatchEvent, WatchId};
pub use connection::MemConnection;
use tree::{Change, Fired, Tree};

/// Transactions that a guest may have open (xenstored's default).
const TRANSACTIONS_MAX: usize = 10;
/// Watches that a guest may have set (xenstored's default).
const WATCHES_MAX: usize = 128;

/// A store that any number of connections share. Clones are the same store.
#[derive(Clone, Debug)]
pub struct MemStore {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    tree: Tree,
    introduced: BTreeSet<DomId>,
    clients: BTreeMap<u64, Client>,
    transactions: BTreeMap<u32, Transaction>,
    next: u64,
}

/// What the store keeps of a connection.
#[derive(Debug)]
struct Client {
    domain: DomId,
    events: Events,
    /// Watches as they were given.
    watched: BTreeMap<WatchId, String>,
    /// Written to when an event comes.
    bell: UnixStream,
}

#[derive(Debug)]
struct Transaction {
    client: u64,
    /// The store as it was at the beginning.
    base: Tree,
    /// The same with this transaction's changes.
    tree: Tree,
    /// What was looked at or changed, and its generation at the beginning.
    touched: BTreeMap<String, Option<u64>>,
    changes: Vec<Change>,
}

impl Default for MemStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemStore {
    /// A store with a root and nothing else; dom0 owns it.
    pub fn new() -> Self {
        let shared = Shared {
            tree: Tree::new(),
            introduced: BTreeSet::new(),
            clients: BTreeMap::new(),
            transactions: BTreeMap::new(),
            next: 0,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// Makes a domain's home as the tool stack does: the domain may read it and write `data`.
    pub fn introduce(&self, domain: DomId) {
        let home = domain_path(domain);
        let own = super::Permissions::private(domain);
        let readable = super::Permissions::private(DomId::DOM0).readable_by(domain);
        let mut shared = self.lock();
        for change in [
            Change::Mkdir(home.clone()),
            Change::SetPermissions(home.clone(), readable),
            Change::Write(format!("{home}/domid"), domain.to_string().into_bytes()),
            Change::Mkdir(format!("{home}/data")),
            Change::SetPermissions(format!("{home}/data"), own),
        ] {
            // dom0 may do all of this.
            let _ = shared.change(DomId::DOM0, &change);
        }
        shared.introduced.insert(domain);
        shared.announce("@introduceDomain");
    }

    /// Plays the end of a domain: its home goes, and who watches `@releaseDomain` hears it.
    pub fn release(&self, domain: DomId) {
        let mut shared = self.lock();
        shared.introduced.remove(&domain);
        let _ = shared.change(DomId::DOM0, &Change::Rm(domain_path(domain)));
        shared.announce("@releaseDomain");
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // The store is whole between calls; a panic elsewhere does not break it.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Makes a change outside of transactions and tells the watchers.
    fn change(&mut self, domain: DomId, change: &Change) -> Result<(), Refusal> {
        // Taken now: who could read a node hears that it is gone.
        let before = self.tree.clone();
        let fired = self.tree.apply(domain, change)?;
        self.tell(&before, &fired);
        Ok(())
    }

    /// Commits a transaction, unless what it saw has changed since.
    fn commit(&mut self, domain: DomId, transaction: Transaction) -> Result<(), Refusal> {
        let unchanged = |(path, then): (&String, &Option<u64>)| self.tree.generation(path) == *then;
        if !transaction.touched.iter().all(unchanged) {
            return Err(Refusal::Conflict);
        }
        let before = self.tree.clone();
        let mut fired = Vec::new();
        for change in &transaction.changes {
            // It went well on an equal tree.
            fired.extend(self.tree.apply(domain, change)?);
        }
        self.tell(&before, &fired);
        Ok(())
    }

    fn tell(&mut self, before: &Tree, fired: &[Fired]) {
        let Self { tree, clients, .. } = self;
        for client in clients.values_mut() {
            for Fired { path, exactly } in fired {
                let sees = |tree: &Tree| tree.get(client.domain, path, Access::Read).is_ok();
                if sees(tree) || sees(before) {
                    client.notice(path, *exactly);
                }
            }
        }
    }

    /// Tells dom0's watchers of one of the store's own events.
    fn announce(&mut self, name: &str) {
        for client in self
            .clients
            .values_mut()
            .filter(|client| client.domain == DomId::DOM0)
        {
            client.notice(name, true);
        }
    }
}

impl Client {
    /// Queues an event for each watch that covers `path`.
    fn notice(&mut self, path: &str, exactly: bool) {
        let home = format!("{}/", domain_path(self.domain));
        for (watch, given) in &self.watched {
            let relative = !given.starts_with('/') && !is_special(given);
            let seen = if relative {
                path.strip_prefix(&home)
            } else {
                Some(path)
            };
            let covers = |seen: &str| seen == given || (!exactly && is_within(seen, given));
            if let Some(seen) = seen.filter(|seen| covers(seen)) {
                let event = WatchEvent {
                    watch: *watch,
                    path: seen.to_owned(),
                };
                self.events.push(event, &self.watched);
                // A full pipe is loud enough.
                let _ = self.bell.write(&[0]);
            }
        }
    }
}
