// SPDX-License-Identifier: MIT OR Apache-2.0
//! A byte stream between two domains that trusts nothing the other side writes.
//!
//! A *server* announces a channel for one *client* domain under a port number; the client
//! connects; from then on each side writes into one ring and reads from the other. The
//! rings are bit-compatible with `libxenvchan`, so either side may be its C code.
//!
//! | transport | memory | wake-ups | meeting place |
//! |---|---|---|---|
//! | [`Transport::Xen`] | granted pages | event channel | xenstore |
//! | [`Transport::Local`] | a sealed memfd, same ring code | a Unix socket | a folder |
//! | [`Transport::Socket`] | none | the stream itself | a folder; as Qubes' vchan simulator |
//!
//! **Trusts:** the kernel and, through it, Xen. **Does not trust** the peer: it may write
//! any byte of the shared memory at any time, wake us without reason, or die.
//!
//! Invariants:
//! - The peer's indices are copied once and checked; an impossible one is
//!   [`StreamError::Corrupt`], never a copy beyond the ring and never a silent hang.
//! - Bytes are copied out before anybody parses them.
//! - Nothing blocks but what has `blocking` or `wait` in its name, [`Endpoints::connect`] and
//!   [`Endpoints::connect_unless`].
//! - A peer's death is seen as [`State::Closed`] after a wake-up of [`Vchan::fd`]; what it
//!   had sent can still be read.
//! - Dropping a [`Vchan`] tells the peer, and takes back what was announced.
//!
//! Whoever writes messages into a channel should begin one only when a decent part of it
//! fits ([`Vchan::writable_at_least`]), or a slow reader makes the writer crawl in pieces of
//! a few bytes. [`Vchan::write`] itself never holds bytes back: a peer that waits for the
//! rest of a message that nearly fills the ring would wait for ever.

mod copy;
mod endpoints;
mod error;
mod local;
mod mapping;
mod pages;
mod patience;
mod peer_watch;
mod ring;
mod ringed;
mod shared_memory;
mod socket;
mod stream;
mod xen;

pub use endpoints::{Endpoints, RingSizes, Transport};
pub use error::{OpenError, ShareError, StreamError};
pub use local::remove_leftovers;
pub use pages::{HeldPages, MappedPages, PagesPlace, SHARE_MAX, SharedPages};
pub use peer_watch::PeerWatch;
pub use ring::RING_MAX;
#[cfg(feature = "hostile-peer")]
pub use ring::survive_bytes as survive_hostile_peer;
pub use shared_memory::SharedMemory;
pub use stream::{State, Vchan};
pub use xen::remove_offers;
