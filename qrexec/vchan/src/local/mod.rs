// SPDX-License-Identifier: MIT OR Apache-2.0
//! The local transport: domains that are process trees on one kernel.
//!
//! The server listens on a socket in a folder both see, unless the client came first and listens
//! itself. The server hands the client a sealed memfd with the control page and the rings; the
//! socket stays open, one byte on it is a wake-up, and its end is the peer's death. There is no isolation in
//! this: it exists so that everything above can run without a hypervisor.
//!
//! A socket rather than a pair of eventfds, since both ends of an eventfd share its flags
//! and its counter: a peer could make ours block or swallow our wake-ups.

mod bell;
mod link;
mod meeting;
mod pages;

use std::os::unix::net::UnixStream;
use std::path::Path;

use bulkhead_types::{DomId, Port};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;

pub(crate) use self::link::LocalLink;
use self::link::Offer;
pub(crate) use self::meeting::{Meeting, MeetingPoint, arrive, ring};
pub use self::pages::remove_leftovers;
pub(crate) use self::pages::{OwnPages, PeerPages};
use crate::OpenError;
use crate::mapping::{FileMapping, Region};
use crate::patience::Patience;
use crate::ring::{End, Orders, PAGE, RING_MAX, SharedRing, offered_orders};

/// The control page and two of the largest rings.
const LENGTH_MAX: usize = PAGE + 2 * RING_MAX;

/// Where a channel's ends meet.
fn meeting(server: DomId, client: DomId, port: Port) -> Meeting {
    Meeting {
        kind: "ring",
        server,
        client,
        port,
        comes: true,
    }
}

/// Makes the memory of a channel and announces it.
pub(crate) fn serve(
    folder: &Path,
    server: DomId,
    client: DomId,
    port: Port,
    orders: Orders,
) -> Result<(End<SharedRing>, LocalLink), OpenError> {
    let orders = orders.roomy();
    let length = SharedRing::contiguous_len(orders);
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let memory =
        memfd_create("vchan", flags).map_err(OpenError::system("make memory for a ring"))?;
    ftruncate(&memory, length as i64).map_err(OpenError::system("size the memory of a ring"))?;
    let seals = SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
    fcntl(&memory, FcntlArg::F_ADD_SEALS(seals))
        .map_err(OpenError::system("seal the memory of a ring"))?;
    let mapping = FileMapping::new(&memory, length).map_err(OpenError::system("map a ring"))?;
    let ring = SharedRing::contiguous(Region::File(mapping), orders)
        .expect("the mapping was made as long as the orders need");
    ring.publish_orders();
    let sizes = ring.sizes();
    let end = End::serve(ring, sizes);
    let link = LocalLink::offer(Offer {
        folder: folder.to_owned(),
        meeting: meeting(server, client, port),
        memory,
    })?;
    Ok((end, link))
}

/// Meets the server and maps what it hands over.
pub(crate) fn connect(
    folder: &Path,
    server: DomId,
    client: DomId,
    port: Port,
    patience: Patience<'_>,
) -> Result<(End<SharedRing>, LocalLink), OpenError> {
    let timed_out = || OpenError::TimedOut { server, port };
    let greet = |socket: UnixStream| -> Result<_, OpenError> {
        let memory = link::receive_memory(&socket, patience, timed_out)?;
        Ok(memory.map(|memory| (memory, socket)))
    };
    let met = arrive(folder, meeting(server, client, port), patience, greet)?;
    let (memory, socket) = met.ok_or_else(timed_out)?;
    let corrupt = |what| OpenError::Corrupt { server, what };

    // A file that could shrink under the mapping would kill us.
    let seals = fcntl(&memory, FcntlArg::F_GET_SEALS).unwrap_or(0);
    if !SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_SHRINK) {
        return Err(corrupt("its memory is not sealed"));
    }
    let size = nix::sys::stat::fstat(&memory)
        .map_err(OpenError::system("look at a ring"))?
        .st_size;
    let length = usize::try_from(size).unwrap_or(0);
    if !(PAGE..=LENGTH_MAX).contains(&length) {
        return Err(corrupt("its memory has an impossible size"));
    }
    let mapping = FileMapping::new(&memory, length).map_err(OpenError::system("map a ring"))?;
    let region = Region::File(mapping);
    let orders = offered_orders(&region).ok_or_else(|| corrupt("impossible ring sizes"))?;
    let ring = SharedRing::contiguous(region, orders)
        .ok_or_else(|| corrupt("its memory is smaller than its rings"))?;
    let sizes = ring.sizes();
    let end = End::join(ring, sizes);
    let link = LocalLink::open(socket)?;
    link.wake_peer();
    Ok((end, link))
}
