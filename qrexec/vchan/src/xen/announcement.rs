// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a server's offer stands in xenstore.
//!
//! Below the server's home, `data/vchan/CLIENT/PORT/{ring-ref,event-channel}`, readable by the
//! client alone. The two keys go once the client came: who comes later shall not find them.
//!
//! No transaction is used, of which a guest may have only ten at a time: the key that clients
//! wait for is written last, and what an earlier server left is removed first. The node above the keys
//! holds whose it is, from the first moment: an earlier server that leaves meanwhile does not take it.

use bulkhead_types::{DomId, Port};
use bulkhead_xen::store::{Permissions, Refusal, Store, StoreError, Tx, domain_path};

/// What a client needs to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// The grant of the control page.
    pub reference: u32,
    /// The server's port of the event channel.
    pub event: u32,
}

/// Where the offer of a channel stands.
pub(crate) fn path(server: DomId, client: DomId, port: Port) -> String {
    format!("{}/{port}", folder(server, client))
}

/// Where all offers of a server to a client stand.
fn folder(server: DomId, client: DomId) -> String {
    format!("{}/data/vchan/{client}", domain_path(server))
}

impl Offer {
    /// Reads an offer, if there is a whole one.
    pub fn find(store: &mut impl Store, path: &str) -> Result<Option<Self>, StoreError> {
        loop {
            let Some(reference) = number(store, &format!("{path}/ring-ref"))? else {
                return Ok(None);
            };
            let Some(event) = number(store, &format!("{path}/event-channel"))? else {
                return Ok(None);
            };
            // Another server may have come in between: both must be of one offer.
            if number(store, &format!("{path}/ring-ref"))? == Some(reference) {
                return Ok(Some(Self { reference, event }));
            }
        }
    }
}

/// The number in a node that may be missing, or not for us yet.
fn number(store: &mut impl Store, path: &str) -> Result<Option<u32>, StoreError> {
    match store.read_text(Tx::NONE, path) {
        Ok(text) => Ok(text
            .and_then(|text| text.trim().parse().ok())
            .filter(|number| *number != 0)),
        Err(error) if error.is(&Refusal::Denied) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a node that need not be there, even without anything above it.
pub(super) fn remove(store: &mut impl Store, path: &str) -> Result<(), StoreError> {
    match store.rm(Tx::NONE, path) {
        Err(error) if error.is(&Refusal::NotFound) => Ok(()),
        result => result,
    }
}

/// Removes a folder unless something is in it. Another process of this domain may put something
/// there at any time, so this is worth a transaction; if there is none to be had it stays.
pub(super) fn remove_empty(store: &mut impl Store, folder: &str) -> Result<(), StoreError> {
    if !store.list(Tx::NONE, folder)?.is_empty() {
        return Ok(());
    }
    store.transaction(|store, tx| {
        if store.list(tx, folder)?.is_empty() {
            store.rm(tx, folder)?;
        }
        Ok(())
    })
}

/// Removes all that servers of a domain, which were killed, still offer to a client.
pub(super) fn remove_all(
    store: &mut impl Store,
    server: DomId,
    client: DomId,
) -> Result<(), StoreError> {
    remove(store, &folder(server, client))
}

/// A server's offer as long as it stands.
#[derive(Debug)]
pub(crate) struct Announcement {
    path: String,
    folder: String,
    offer: Offer,
}

impl Announcement {
    /// Writes an offer in the place of an earlier one.
    pub fn publish(
        store: &mut impl Store,
        (server, client, port): (DomId, DomId, Port),
        offer: Offer,
    ) -> Result<Self, StoreError> {
        let announcement = Self::claim(store, (server, client, port), offer)?;
        announcement.fill(store)?;
        Ok(announcement)
    }

    /// Makes the node, and says in it whose it is.
    fn claim(
        store: &mut impl Store,
        (server, client, port): (DomId, DomId, Port),
        offer: Offer,
    ) -> Result<Self, StoreError> {
        let announcement = Self {
            path: path(server, client, port),
            folder: folder(server, client),
            offer,
        };
        let path = &announcement.path;
        remove(store, path)?;
        store.write(Tx::NONE, path, announcement.mark().as_bytes())?;
        // The keys inherit this.
        let readers = Permissions::private(server).readable_by(client);
        store.set_permissions(Tx::NONE, path, &readers)?;
        Ok(announcement)
    }

    /// Writes the keys.
    fn fill(&self, store: &mut impl Store) -> Result<(), StoreError> {
        let Self { path, offer, .. } = self;
        for (key, number) in [
            ("ring-ref", offer.reference),
            ("event-channel", offer.event),
        ] {
            let number = number.to_string();
            store.write(Tx::NONE, &format!("{path}/{key}"), number.as_bytes())?;
        }
        Ok(())
    }

    /// No two servers of a domain have the same event channel at one time.
    fn mark(&self) -> String {
        self.offer.event.to_string()
    }

    /// Takes the offer back, since its client came. The node itself stays.
    pub fn withdraw(&self, store: &mut impl Store) -> Result<(), StoreError> {
        for key in ["event-channel", "ring-ref"] {
            remove(store, &format!("{}/{key}", self.path))?;
        }
        Ok(())
    }

    /// Removes all that is left of the offer, unless another one took its place, and an empty
    /// folder above it.
    pub fn remove(&self, store: &mut impl Store) -> Result<(), StoreError> {
        if store.read_text(Tx::NONE, &self.path)? == Some(self.mark()) {
            remove(store, &self.path)?;
        }
        remove_empty(store, &self.folder)
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_xen::store::{MemConnection, MemStore};

    use super::*;

    fn id(number: u32) -> DomId {
        DomId::new(number).unwrap()
    }

    const CHANNEL: Port = Port(513);

    fn announce(server: &mut MemConnection, reference: u32, event: u32) -> Announcement {
        let offer = Offer { reference, event };
        Announcement::publish(server, (id(3), id(4), CHANNEL), offer).unwrap()
    }

    #[test]
    fn an_offer_is_for_its_client_alone_and_goes_without_a_trace() {
        let world = MemStore::new();
        for domain in [0, 3, 4, 5] {
            world.introduce(id(domain));
        }
        let mut server = world.connect(id(3)).unwrap();
        let mut client = world.connect(id(4)).unwrap();
        let mut other = world.connect(id(5)).unwrap();
        let key = path(id(3), id(4), CHANNEL);
        assert_eq!(key, "/local/domain/3/data/vchan/4/513");
        assert_eq!(Offer::find(&mut client, &key).unwrap(), None);

        let first = announce(&mut server, 8, 21);
        assert_eq!(
            Offer::find(&mut client, &key).unwrap(),
            Some(first.offer.clone())
        );
        assert_eq!(Offer::find(&mut other, &key).unwrap(), None);

        let second = announce(&mut server, 9, 22);
        first.remove(&mut server).unwrap();
        assert_eq!(
            Offer::find(&mut client, &key).unwrap(),
            Some(second.offer.clone())
        );
        second.withdraw(&mut server).unwrap();
        assert_eq!(Offer::find(&mut client, &key).unwrap(), None);
        second.remove(&mut server).unwrap();
        assert_eq!(server.list(Tx::NONE, "data/vchan").unwrap(), [""; 0]);

        announce(&mut server, 10, 23);
        remove_all(&mut server, id(3), id(4)).unwrap();
        assert_eq!(server.list(Tx::NONE, "data/vchan").unwrap(), [""; 0]);
        remove_all(&mut server, id(3), id(4)).unwrap();
    }

    #[test]
    fn a_server_that_leaves_takes_nothing_from_one_that_is_just_coming() {
        let world = MemStore::new();
        for domain in [0, 3, 4] {
            world.introduce(id(domain));
        }
        let mut leaving = world.connect(id(3)).unwrap();
        let mut coming = world.connect(id(3)).unwrap();
        let mut client = world.connect(id(4)).unwrap();
        let key = path(id(3), id(4), CHANNEL);
        for withdrawn in [true, false] {
            let first = announce(&mut leaving, 8, 21);
            if withdrawn {
                first.withdraw(&mut leaving).unwrap();
            }
            let offer = Offer {
                reference: 9,
                event: 22,
            };
            let channel = (id(3), id(4), CHANNEL);
            let second = Announcement::claim(&mut coming, channel, offer.clone()).unwrap();
            first.remove(&mut leaving).unwrap();
            second.fill(&mut coming).unwrap();
            assert_eq!(Offer::find(&mut client, &key).unwrap(), Some(offer));
            second.remove(&mut coming).unwrap();
        }
        assert_eq!(coming.list(Tx::NONE, "data/vchan").unwrap(), [""; 0]);
    }

    #[test]
    fn any_number_of_servers_announce_at_once() {
        let world = MemStore::new();
        for domain in [0, 3, 4] {
            world.introduce(id(domain));
        }
        let mut store = world.connect(id(3)).unwrap();
        // As many transactions as a guest may have are open elsewhere.
        let mut busy = world.connect(id(3)).unwrap();
        while busy.begin().is_ok() {}
        let announcement = announce(&mut store, 8, 21);
        let mut client = world.connect(id(4)).unwrap();
        assert!(
            Offer::find(&mut client, &announcement.path)
                .unwrap()
                .is_some()
        );
    }
}
