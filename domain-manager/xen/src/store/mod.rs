// SPDX-License-Identifier: MIT OR Apache-2.0
//! xenstore: the small tree of names through which domains find each other.
//!
//! [`Store`] is what it can do. [`XenStore`] speaks the wire protocol to xenstored, through
//! its socket in dom0 or the kernel's device in a guest. [`MemStore`] is a store inside this
//! process, with the same permissions, transactions and watches; [`FakeXenstored`] puts
//! it behind a socket, so that the client can be tested where no xenstored runs. Both pass
//! the same conformance tests.
//!
//! Values may come from other domains: they are bytes until somebody parses them.

mod client;
mod error;
mod events;
mod fake;
mod memory;
mod path;
mod permissions;
pub mod wire;

use std::os::fd::BorrowedFd;
use std::time::Duration;

use bulkhead_types::DomId;

pub use client::XenStore;
pub use error::{Refusal, StoreError};
pub use fake::FakeXenstored;
pub use memory::{MemConnection, MemStore};
pub use path::domain_path;
pub use permissions::{Access, Permission, Permissions};

/// How often a transaction is tried before giving up on a store that is too busy.
const TRIES: usize = 100;

/// The transaction that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tx(pub(crate) u32);

impl Tx {
    /// None: the request stands alone.
    pub const NONE: Self = Self(0);
}

/// A watch that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId(pub(crate) u64);

/// Something below a watched path changed, or the watch was just set.
///
/// Several changes may come as one event, and an event may come for no change: look.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WatchEvent {
    /// The watch.
    pub watch: WatchId,
    /// What changed. After too many changes at once, only the watched path itself.
    pub path: String,
}

/// A connection to xenstore as one domain sees it.
///
/// Paths are absolute (`/local/domain/3/name`) or relative to the own domain's home.
pub trait Store {
    /// The value of a node.
    fn read(&mut self, tx: Tx, path: &str) -> Result<Vec<u8>, StoreError>;
    /// Sets a node's value, making it and what lies above it where needed.
    fn write(&mut self, tx: Tx, path: &str, value: &[u8]) -> Result<(), StoreError>;
    /// Makes a node with an empty value, unless it is there.
    fn mkdir(&mut self, tx: Tx, path: &str) -> Result<(), StoreError>;
    /// Removes a node and all below it. Not finding it is no error if its parent is there.
    fn rm(&mut self, tx: Tx, path: &str) -> Result<(), StoreError>;
    /// The names of a node's children.
    fn list(&mut self, tx: Tx, path: &str) -> Result<Vec<String>, StoreError>;
    /// Who may do what with a node.
    fn permissions(&mut self, tx: Tx, path: &str) -> Result<Permissions, StoreError>;
    /// Sets who may do what with a node; only its owner and dom0 may.
    fn set_permissions(
        &mut self,
        tx: Tx,
        path: &str,
        permissions: &Permissions,
    ) -> Result<(), StoreError>;
    /// Begins a transaction. See [`Self::transaction`], which also ends it.
    fn begin(&mut self) -> Result<Tx, StoreError>;
    /// Ends a transaction: with `commit` all of it happens, or nothing and
    /// [`Refusal::Conflict`].
    fn end(&mut self, tx: Tx, commit: bool) -> Result<(), StoreError>;
    /// Watches a node and all below it; the first event comes at once.
    ///
    /// `@releaseDomain` and `@introduceDomain` stand for domains that end and begin; only
    /// dom0 hears of those.
    fn watch(&mut self, path: &str) -> Result<WatchId, StoreError>;
    /// Ends a watch. Events under way are dropped.
    fn unwatch(&mut self, watch: WatchId) -> Result<(), StoreError>;
    /// Whether a domain is there; only dom0 may ask.
    fn is_introduced(&mut self, domain: DomId) -> Result<bool, StoreError>;
    /// Readable when an event may have come.
    fn fd(&self) -> BorrowedFd<'_>;
    /// The next event, waiting at most `timeout` (`None`: for ever) for it.
    fn next_event(&mut self, timeout: Option<Duration>) -> Result<Option<WatchEvent>, StoreError>;

    /// Does all of `body` or none of it, again when somebody else changed the same nodes.
    ///
    /// An error of `body` aborts the transaction.
    fn transaction<T, E: From<StoreError>>(
        &mut self,
        mut body: impl FnMut(&mut Self, Tx) -> Result<T, E>,
    ) -> Result<T, E>
    where
        Self: Sized,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let tx = self.begin()?;
            let done = match body(self, tx) {
                Ok(done) => done,
                Err(error) => {
                    // The first error is the one to tell of.
                    let _ = self.end(tx, false);
                    return Err(error);
                }
            };
            match self.end(tx, true) {
                Ok(()) => return Ok(done),
                Err(error) if error.is(&Refusal::Conflict) && tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The value of a node as text, if the node is there and holds UTF-8.
    fn read_text(&mut self, tx: Tx, path: &str) -> Result<Option<String>, StoreError> {
        match self.read(tx, path) {
            Ok(value) => Ok(String::from_utf8(value).ok()),
            Err(error) if error.is(&Refusal::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The id of the domain this connection belongs to.
    fn own_id(&mut self) -> Result<DomId, StoreError> {
        let text = self.read_text(Tx::NONE, "domid")?;
        let id = text.and_then(|text| text.trim().parse().ok());
        id.ok_or(StoreError::Broken("it does not know this domain's own id"))
    }
}
