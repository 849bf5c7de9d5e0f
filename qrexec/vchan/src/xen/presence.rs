// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an end of a channel keeps in xenstore, and how it hears there that the other *domain*
//! is gone.
//!
//! A peer process that ends takes its pages with it, and the kernel under it then clears its
//! live byte and wakes us. A domain that is destroyed takes its kernel along, so nobody does
//! that. Xenstore tells dom0 (`@releaseDomain`), and dom0 itself goes last. That leaves two
//! guests: each keeps a node in its own home that the other may read, and watches the other's,
//! which goes when the tool stack removes the home of a domain that is no more.
//!
//! The server's node is that of its offer. The client's is `data/vchan-joined/SERVER/PORT`;
//! clients that know nothing of this make none, and their domain's end is not noticed. Neither
//! is it when this domain has used up its watches.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use bulkhead_types::{DomId, Port};
use bulkhead_xen::store::{
    Permissions, Refusal, Store, StoreError, Tx, WatchId, XenStore, domain_path,
};

use super::announcement::{self, Announcement, Offer};

/// An end's nodes, which go with this value, and its news of the other domain.
#[derive(Debug)]
pub(crate) struct Presence<S: Store = XenStore> {
    store: S,
    own: Own,
    news: News,
}

#[derive(Debug)]
enum Own {
    Offer(Announcement),
    Joined { node: String, folder: String },
    Nothing,
}

#[derive(Debug)]
enum News {
    /// Of every domain that ends; this one matters.
    Ends(DomId),
    /// Of the node in the other guest's home.
    Node {
        /// Where it is.
        path: String,
        /// It has been there.
        seen: bool,
    },
    /// None.
    Nothing,
}

/// Where a client says that it has joined.
fn joined_folder(client: DomId, server: DomId) -> String {
    format!("{}/data/vchan-joined/{server}", domain_path(client))
}

impl<S: Store> Presence<S> {
    /// Announces a server's offer and listens for the end of its client's domain.
    pub fn serve(
        mut store: S,
        (server, client, port): (DomId, DomId, Port),
        offer: Offer,
    ) -> Result<Self, StoreError> {
        let news = match (server, client) {
            (DomId::DOM0, _) => {
                store.watch("@releaseDomain")?;
                News::Ends(client)
            }
            (_, DomId::DOM0) => News::Nothing,
            _ => {
                let path = format!("{}/{port}", joined_folder(client, server));
                watch(&mut store, path)?
            }
        };
        let own = Own::Offer(Announcement::publish(
            &mut store,
            (server, client, port),
            offer,
        )?);
        Ok(Self { store, own, news })
    }

    /// Keeps nothing and listens in dom0 for a domain's end.
    pub fn listen(mut store: S, peer: DomId) -> Result<Self, StoreError> {
        store.watch("@releaseDomain")?;
        let (own, news) = (Own::Nothing, News::Ends(peer));
        Ok(Self { store, own, news })
    }

    /// What a client keeps once it has joined. `store` watches the server's offer, by the watch
    /// `offer`, and in dom0 also for domains that end.
    pub fn join(
        mut store: S,
        (server, client, port): (DomId, DomId, Port),
        offer: WatchId,
    ) -> Result<Self, StoreError> {
        let (own, news) = match (server, client) {
            (_, DomId::DOM0) => {
                store.unwatch(offer)?;
                (Own::Nothing, News::Ends(server))
            }
            (DomId::DOM0, _) => (Own::Nothing, News::Nothing),
            _ => {
                let folder = joined_folder(client, server);
                let node = format!("{folder}/{port}");
                store.write(Tx::NONE, &node, b"1")?;
                let readers = Permissions::private(client).readable_by(server);
                store.set_permissions(Tx::NONE, &node, &readers)?;
                let path = announcement::path(server, client, port);
                let news = if is_there(&mut store, &path)? {
                    News::Node { path, seen: true }
                } else {
                    // libxenvchan's servers let us see the keys only, and leave them there.
                    store.unwatch(offer)?;
                    watch(&mut store, format!("{path}/event-channel"))?
                };
                (Own::Joined { node, folder }, news)
            }
        };
        Ok(Self { store, own, news })
    }

    /// Whether there is something to keep or to hear.
    pub fn matters(&self) -> bool {
        !matches!((&self.own, &self.news), (Own::Nothing, News::Nothing))
    }

    /// Whether it keeps nothing in xenstore and is there for news only.
    pub fn only_listens(&self) -> bool {
        matches!(self.own, Own::Nothing)
    }

    /// Readable when there may be news, unless there never will be.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self.news {
            News::Nothing => None,
            _ => Some(self.store.fd()),
        }
    }

    /// Whether the other domain is gone. An error means that there will be no more news.
    ///
    /// To be asked when [`Self::fd`] is readable and whenever something else was done here,
    /// since news that comes in between leaves the descriptor unreadable.
    pub fn peer_is_gone(&mut self) -> Result<bool, StoreError> {
        while self.has_happened()? {
            let Self { store, news, .. } = self;
            let gone = match news {
                News::Ends(peer) => !store.is_introduced(*peer)?,
                News::Node { path, seen } => {
                    let there = is_there(store, path)?;
                    *seen |= there;
                    *seen && !there
                }
                News::Nothing => false,
            };
            if gone {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_happened(&mut self) -> Result<bool, StoreError> {
        let mut happened = false;
        while self.store.next_event(Some(Duration::ZERO))?.is_some() {
            happened = true;
        }
        Ok(happened)
    }

    /// Stops listening.
    pub fn hear_no_more(&mut self) {
        self.news = News::Nothing;
    }

    /// Takes back a server's offer: its client came.
    pub fn withdraw(&mut self) -> Result<(), StoreError> {
        match &self.own {
            Own::Offer(offer) => offer.withdraw(&mut self.store),
            _ => Ok(()),
        }
    }
}

impl<S: Store> Drop for Presence<S> {
    fn drop(&mut self) {
        let store = &mut self.store;
        // Without xenstore there is nothing to take back.
        let _ = match &self.own {
            Own::Offer(offer) => offer.remove(store),
            Own::Joined { node, folder } => announcement::remove(store, node)
                .and_then(|()| announcement::remove_empty(store, folder)),
            Own::Nothing => Ok(()),
        };
    }
}

/// Whether a node is there for this domain to see.
fn is_there(store: &mut impl Store, path: &str) -> Result<bool, StoreError> {
    match store.read(Tx::NONE, path) {
        Ok(_) => Ok(true),
        Err(error) if error.is(&Refusal::NotFound) || error.is(&Refusal::Denied) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Watches a node of the other guest, unless this domain's quota is in the way.
fn watch(store: &mut impl Store, path: String) -> Result<News, StoreError> {
    match store.watch(&path) {
        Ok(_) => Ok(News::Node { path, seen: false }),
        Err(error) if error.is(&Refusal::TooBig) || error.is(&Refusal::Quota) => Ok(News::Nothing),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_xen::store::{MemConnection, MemStore};

    use super::*;

    const SERVER: u32 = 3;
    const CLIENT: u32 = 4;

    fn id(number: u32) -> DomId {
        DomId::new(number).unwrap()
    }

    fn channel() -> (DomId, DomId, Port) {
        (id(SERVER), id(CLIENT), Port(513))
    }

    fn world() -> MemStore {
        let world = MemStore::new();
        for domain in [0, SERVER, CLIENT] {
            world.introduce(id(domain));
        }
        world
    }

    /// Both ends of a channel, met.
    fn met(world: &MemStore) -> (Presence<MemConnection>, Presence<MemConnection>) {
        let offer = Offer {
            reference: 8,
            event: 21,
        };
        let store = world.connect(id(SERVER)).unwrap();
        let mut server = Presence::serve(store, channel(), offer).unwrap();
        let mut store = world.connect(id(CLIENT)).unwrap();
        let (s, c, p) = channel();
        let watch = store.watch(&announcement::path(s, c, p)).unwrap();
        let client = Presence::join(store, channel(), watch).unwrap();
        server.withdraw().unwrap();
        (server, client)
    }

    #[test]
    fn each_guest_hears_of_the_others_end_and_of_nothing_else() {
        for (ends, survives) in [(SERVER, CLIENT), (CLIENT, SERVER)] {
            let world = world();
            let (mut server, mut client) = met(&world);
            assert!(!server.peer_is_gone().unwrap() && !client.peer_is_gone().unwrap());
            world.introduce(id(5));
            world.release(id(5));
            assert!(!server.peer_is_gone().unwrap() && !client.peer_is_gone().unwrap());
            world.release(id(ends));
            let survivor = if survives == SERVER {
                &mut server
            } else {
                &mut client
            };
            assert!(survivor.peer_is_gone().unwrap());
        }
    }

    #[test]
    fn a_server_that_keeps_its_offer_is_watched_by_it() {
        let world = world();
        let mut libxenvchan = world.connect(id(SERVER)).unwrap();
        let (s, c, p) = channel();
        let path = announcement::path(s, c, p);
        for key in ["ring-ref", "event-channel"] {
            let key = format!("{path}/{key}");
            libxenvchan.write(Tx::NONE, &key, b"8").unwrap();
            let readers = Permissions::private(s).readable_by(c);
            libxenvchan
                .set_permissions(Tx::NONE, &key, &readers)
                .unwrap();
        }
        let mut store = world.connect(c).unwrap();
        let watch = store.watch(&path).unwrap();
        let mut client = Presence::join(store, channel(), watch).unwrap();
        assert!(!client.peer_is_gone().unwrap());
        world.release(s);
        assert!(client.peer_is_gone().unwrap());
    }

    #[test]
    fn a_client_that_says_nothing_is_not_missed() {
        let world = world();
        let offer = Offer {
            reference: 8,
            event: 21,
        };
        let store = world.connect(id(SERVER)).unwrap();
        let mut server = Presence::serve(store, channel(), offer).unwrap();
        assert!(!server.peer_is_gone().unwrap());
        server.withdraw().unwrap();
        assert!(!server.peer_is_gone().unwrap());
    }

    #[test]
    fn closed_channels_leave_no_node() {
        let world = world();
        drop(met(&world));
        for (domain, folder) in [(SERVER, "data/vchan"), (CLIENT, "data/vchan-joined")] {
            let mut store = world.connect(id(domain)).unwrap();
            assert_eq!(store.list(Tx::NONE, folder).unwrap(), [""; 0]);
        }
    }

    #[test]
    fn dom0_hears_of_a_domains_end_without_a_channel_to_it() {
        let world = world();
        let store = world.connect(id(0)).unwrap();
        let mut listener = Presence::listen(store, id(SERVER)).unwrap();
        assert!(listener.only_listens());
        assert!(!listener.peer_is_gone().unwrap());
        world.release(id(CLIENT));
        assert!(!listener.peer_is_gone().unwrap());
        world.release(id(SERVER));
        assert!(listener.peer_is_gone().unwrap());
    }

    #[test]
    fn a_channel_opens_without_a_watch_to_be_had() {
        let world = world();
        let mut greedy = world.connect(id(SERVER)).unwrap();
        while greedy.watch("data").is_ok() {}
        let (server, _client) = met(&world);
        assert!(server.fd().is_none());
    }
}
