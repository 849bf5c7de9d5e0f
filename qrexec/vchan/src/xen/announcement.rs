// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a server's offer stands in xenstore.
//!
//! Below the server's home, `data/vchan/CLIENT/PORT/{ring-ref,event-channel}`, both readable
//! by the client alone. They go once the client came: who comes later shall not find them.

use bulkhead_types::{DomId, Port};
use bulkhead_xen::store::{Permissions, Refusal, Store, StoreError, Tx, XenStore, domain_path};

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
    format!("{}/data/vchan/{client}/{port}", domain_path(server))
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

/// A server's offer as long as it stands.
#[derive(Debug)]
pub(crate) struct Announcement {
    server: DomId,
    client: DomId,
    port: Port,
    offer: Offer,
}

impl Announcement {
    /// Writes an offer in one transaction, in the place of an earlier one.
    pub fn publish(
        server: DomId,
        client: DomId,
        port: Port,
        offer: Offer,
    ) -> Result<Self, StoreError> {
        let announcement = Self {
            server,
            client,
            port,
            offer,
        };
        announcement.write(&mut XenStore::open()?)?;
        Ok(announcement)
    }

    fn write(&self, store: &mut impl Store) -> Result<(), StoreError> {
        let path = path(self.server, self.client, self.port);
        let permissions = Permissions::private(self.server).readable_by(self.client);
        let keys = [
            ("ring-ref", self.offer.reference),
            ("event-channel", self.offer.event),
        ];
        store.transaction(|store, tx| {
            for (name, number) in keys {
                let key = format!("{path}/{name}");
                store.write(tx, &key, number.to_string().as_bytes())?;
                store.set_permissions(tx, &key, &permissions)?;
            }
            Ok(())
        })
    }

    /// Removes the offer, unless another one took its place, and an empty folder above it.
    fn remove(&self, store: &mut impl Store) -> Result<(), StoreError> {
        let path = path(self.server, self.client, self.port);
        let folder = format!("{}/data/vchan/{}", domain_path(self.server), self.client);
        let ours = self.offer.event.to_string();
        store.transaction(|store, tx| {
            let standing = store.read_text(tx, &format!("{path}/event-channel"))?;
            if standing.as_deref() != Some(&ours) {
                return Ok(());
            }
            store.rm(tx, &path)?;
            if store.list(tx, &folder)?.is_empty() {
                store.rm(tx, &folder)?;
            }
            Ok(())
        })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // Without xenstore there is nothing to take back.
        if let Ok(mut store) = XenStore::open() {
            let _ = self.remove(&mut store);
        }
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_xen::store::MemStore;

    use super::*;

    fn id(number: u32) -> DomId {
        DomId::new(number).unwrap()
    }

    fn announced(port: u32, offer: Offer) -> std::mem::ManuallyDrop<Announcement> {
        // Its own drop looks for a real xenstore.
        std::mem::ManuallyDrop::new(Announcement {
            server: id(3),
            client: id(4),
            port: Port(port),
            offer,
        })
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
        let key = path(id(3), id(4), Port(513));
        assert_eq!(key, "/local/domain/3/data/vchan/4/513");
        assert_eq!(Offer::find(&mut client, &key).unwrap(), None);

        let offer = Offer {
            reference: 8,
            event: 21,
        };
        let announcement = announced(513, offer.clone());
        announcement.write(&mut server).unwrap();
        assert_eq!(Offer::find(&mut client, &key).unwrap(), Some(offer));
        assert_eq!(Offer::find(&mut other, &key).unwrap(), None);

        let second = announced(
            513,
            Offer {
                reference: 9,
                event: 22,
            },
        );
        second.write(&mut server).unwrap();
        announcement.remove(&mut server).unwrap();
        assert_eq!(
            Offer::find(&mut client, &key).unwrap(),
            Some(second.offer.clone())
        );
        second.remove(&mut server).unwrap();
        assert_eq!(server.list(Tx::NONE, "data/vchan").unwrap(), [""; 0]);
    }
}
