// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Xen transport: granted pages, an event channel, and xenstore to find each other.

mod announcement;
mod link;
mod presence;

use std::io;
use std::time::Duration;

use bulkhead_types::{DomId, Port};
use bulkhead_xen::OnUnmap;
use bulkhead_xen::evtchn::{self, EventChannels, EventPort};
use bulkhead_xen::gntalloc::{self, GrantedPages};
use bulkhead_xen::gntdev::{self, MappedGrants};
use bulkhead_xen::store::{Store, StoreError, XenStore};

use self::announcement::Offer;
pub(crate) use self::link::XenLink;
pub(crate) use self::presence::Presence;
use crate::OpenError;
use crate::mapping::Region;
use crate::patience::Patience;
use crate::ring::{
    CLIENT_LIVE, End, LIVE, NOT_YET, Orders, SERVER_LIVE, SharedRing, Which, live_bytes,
    offered_grants, offered_orders,
};

/// Removes from xenstore what processes of this domain that were killed still offer to `client`,
/// a domain that has ended.
///
/// Only for the administrative domain, and only when no process here serves that client.
pub fn remove_offers(client: DomId) -> Result<(), StoreError> {
    let mut store = XenStore::open()?;
    announcement::remove_all(&mut store, DomId::DOM0, client)
}

/// Grants the memory of a channel and announces it.
pub(crate) fn serve(
    server: DomId,
    client: DomId,
    port: Port,
    orders: Orders,
) -> Result<(End<SharedRing>, XenLink), OpenError> {
    let channels = EventChannels::open().map_err(no_xen(evtchn::DEVICE))?;
    let event = channels
        .bind_unbound(client)
        .map_err(OpenError::system("make an event channel"))?;
    let grant = |pages| GrantedPages::share(client, pages, true).map_err(not_granted);
    let control = grant(1)?;
    control
        .on_unmap(OnUnmap {
            clear: SERVER_LIVE,
            wake: event,
        })
        .map_err(OpenError::system("arrange for the end of a ring"))?;
    let reference = control.references()[0];
    let own_pages = |ring| match orders.pages(ring) {
        0 => Ok(None),
        pages => grant(pages).map(Some),
    };
    let (left, right) = (own_pages(Which::Left)?, own_pages(Which::Right)?);
    let references: Vec<u32> = [&left, &right]
        .into_iter()
        .flatten()
        .flat_map(GrantedPages::references)
        .copied()
        .collect();
    let region = |pages: Option<GrantedPages>| pages.map(Region::Granted);
    let ring = SharedRing::new(
        Region::Granted(control),
        region(left),
        region(right),
        orders,
    )
    .expect("the pages were granted as the orders need them");
    ring.publish_orders();
    ring.publish_grants(&references);
    let sizes = ring.sizes();
    let end = End::serve(ring, sizes);
    let offer = Offer {
        reference,
        event: event.0,
    };
    let presence = Presence::serve(XenStore::open()?, (server, client, port), offer)?;
    Ok((end, XenLink::new(channels, event, presence, true)?))
}

/// Waits for the server's announcement and maps what it granted.
pub(crate) fn connect(
    server: DomId,
    client: DomId,
    port: Port,
    patience: Patience<'_>,
) -> Result<(End<SharedRing>, XenLink), OpenError> {
    let mut store = XenStore::open()?;
    let node = announcement::path(server, client, port);
    // The node itself, since the folder around it is not for us to see.
    let watch = store.watch(&node)?;
    if client == DomId::DOM0 {
        store.watch("@releaseDomain")?;
    }
    let mut refused = None;
    let Found {
        channels,
        event,
        ring,
    } = loop {
        let offer = Offer::find(&mut store, &node)?;
        // An offer that led nowhere is a dead server's until it changes.
        if let Some(offer) = offer.filter(|offer| refused.as_ref() != Some(offer)) {
            if let Some(found) = take_up(server, &offer)? {
                break found;
            }
            refused = Some(offer);
        }
        if client == DomId::DOM0 && !store.is_introduced(server)? {
            return Err(OpenError::PeerGone(server));
        }
        // News that came with an answer leaves the descriptor unreadable.
        while store.next_event(Some(Duration::ZERO))?.is_none() {
            let waiting = OpenError::system("wait for a server");
            if patience.is_over().map_err(waiting)? {
                return Err(OpenError::TimedOut { server, port });
            }
            let waited = patience.wait(store.fd(), None);
            waited.map_err(OpenError::system("wait for a server"))?;
        }
    };
    // Before the server sees us live, so that it misses us in any case.
    let presence = Presence::join(store, (server, client, port), watch)?;
    let sizes = ring.sizes();
    let end = End::join(ring, sizes);
    let link = XenLink::new(channels, event, presence, false)?;
    link.wake_peer();
    Ok((end, link))
}

/// What is behind an offer.
struct Found {
    channels: EventChannels,
    event: EventPort,
    ring: SharedRing,
}

/// Takes up an offer; `None` when nobody is behind it any more.
fn take_up(server: DomId, offer: &Offer) -> Result<Option<Found>, OpenError> {
    let corrupt = |what| OpenError::Corrupt { server, what };
    let channels = EventChannels::open().map_err(no_xen(evtchn::DEVICE))?;
    let Ok(event) = channels.bind_interdomain(server, offer.event) else {
        return Ok(None);
    };
    let control = match MappedGrants::map(server, &[offer.reference], true) {
        Ok(control) => control,
        Err(error) if is_absent(&error) => return Err(no_xen(gntdev::DEVICE)(error)),
        Err(_) => return Ok(None),
    };
    let control = Region::Mapped(control);
    // Looked at before the byte of our own end is tied to this mapping: another client's
    // channel must not be closed by our leaving.
    if live_bytes(&control) != Some((LIVE, NOT_YET)) {
        return Ok(None);
    }
    let Region::Mapped(pages) = &control else {
        return Ok(None);
    };
    pages
        .on_unmap(OnUnmap {
            clear: CLIENT_LIVE,
            wake: event,
        })
        .map_err(OpenError::system("arrange for the end of a ring"))?;
    let orders = offered_orders(&control).ok_or_else(|| corrupt("impossible ring sizes"))?;
    let grants = offered_grants(&control, orders);
    let (left, right) = grants
        .split_at_checked(orders.pages(Which::Left))
        .ok_or_else(|| corrupt("fewer pages than its rings need"))?;
    let map = |references: &[u32], writable| match references {
        [] => Ok(None),
        some => match MappedGrants::map(server, some, writable) {
            Ok(pages) => Ok(Some(Region::Mapped(pages))),
            Err(source) => Err(OpenError::System {
                what: "map a ring",
                source,
            }),
        },
    };
    // The ring it reads is not for the client to write.
    let (left, right) = (map(left, true)?, map(right, false)?);
    let ring = SharedRing::new(control, left, right, orders)
        .ok_or_else(|| corrupt("fewer pages than its rings need"))?;
    Ok(Some(Found {
        channels,
        event,
        ring,
    }))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied
    )
}

fn no_xen(what: &'static str) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::NoXen { what, source }
}

fn not_granted(source: io::Error) -> OpenError {
    if is_absent(&source) {
        return no_xen(gntalloc::DEVICE)(source);
    }
    OpenError::System {
        what: "grant pages (the module xen-gntalloc takes a higher `limit=`)",
        source,
    }
}
