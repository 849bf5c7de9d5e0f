// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ring: one end of a channel over memory that the peer may scribble on.
//!
//! The algorithm is generic over [`RingMemory`], so that the same lines run over granted
//! pages, over a memfd, under loom's model of the memory order, and against a test that
//! plays a hostile peer.
//!
//! Order of things (specification of vchan, 3.2):
//!
//! - Writer: read the consumer index, copy data in, publish the producer index, full
//!   barrier, take the reader's request for a wake-up.
//! - Reader: read the producer index, copy data out, publish the consumer index, full
//!   barrier, take the writer's request for a wake-up.
//! - Before sleeping: post one's own request, full barrier, **read the index again**. Who
//!   skips the second look sleeps through a wake-up that was never sent.
//!
//! Own indices are kept here and only ever written to shared memory; the peer's are
//! copied once per step and checked, since an impossible one would otherwise turn into a
//! copy beyond the ring or into a wait without end.

mod layout;
mod memory;

#[cfg(any(test, feature = "hostile-peer"))]
mod hostile;
#[cfg(test)]
mod hostile_stories;
#[cfg(test)]
mod model;

#[cfg(feature = "hostile-peer")]
pub use hostile::survive_bytes;

pub use layout::RING_MAX;
pub(crate) use layout::{CLIENT_LIVE, Index, Orders, PAGE, SERVER_LIVE, Side, Which};
pub(crate) use memory::{RingMemory, SharedRing, live_bytes, offered_grants, offered_orders};

/// "Wake me when data is written."
pub(crate) const WANT_DATA: u8 = 1;
/// "Wake me when data is read", which makes space.
pub(crate) const WANT_SPACE: u8 = 2;

/// The live byte of a client that is yet to come.
pub(crate) const NOT_YET: u8 = 2;
/// The live byte of a side that is there.
pub(crate) const LIVE: u8 = 1;
/// The live byte of a side that left.
const GONE: u8 = 0;

/// The peer wrote indices that no honest peer can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Impossible(pub &'static str);

/// Whether the peer asked for a wake-up, which the caller now owes it.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wake(pub bool);

/// What the live bytes say about the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A client that has not come yet.
    NotYet,
    /// The peer is there.
    Live,
    /// The peer left.
    Gone,
}

/// One end of a channel.
#[derive(Debug)]
pub(crate) struct End<M> {
    memory: M,
    side: Side,
    /// Own producer index of the ring this end writes.
    produced: u32,
    /// Own consumer index of the ring this end reads.
    consumed: u32,
    send_size: u32,
    receive_size: u32,
    /// The peer has been seen alive: from here on any other byte means it left.
    met: bool,
}

impl End<SharedRing> {
    /// Unmaps a client's rings, so that a server that hears of its leaving can have their pages back at
    /// once. Nothing may be read or written any more.
    pub fn let_go_of_rings(&mut self) {
        if self.side == Side::Client {
            self.memory.let_go_of_rings();
        }
    }

    /// Whether the memory is this end's own.
    pub fn is_server(&self) -> bool {
        self.side == Side::Server
    }
}

impl<M: RingMemory> End<M> {
    /// The server's end of a fresh channel: initialises what both sides share.
    ///
    /// `sizes` are those of the left and the right ring, powers of two.
    pub fn serve(memory: M, sizes: (u32, u32)) -> Self {
        for ring in [Which::Left, Which::Right] {
            memory.store(ring, Index::Consumer, 0);
            memory.store(ring, Index::Producer, 0);
        }
        memory.set_live(Side::Client, NOT_YET);
        memory.set_live(Side::Server, LIVE);
        // The server wants to hear of the client's first bytes and of its arrival.
        memory.ask(Side::Server, WANT_DATA);
        memory.fence();
        let (receive_size, send_size) = sizes;
        Self {
            memory,
            side: Side::Server,
            produced: 0,
            consumed: 0,
            send_size,
            receive_size,
            met: false,
        }
    }

    /// The client's end of a channel that a server announced. The caller wakes the server.
    pub fn join(memory: M, sizes: (u32, u32)) -> Self {
        let (send_size, receive_size) = sizes;
        let produced = memory.load(Which::Left, Index::Producer);
        let consumed = memory.load(Which::Right, Index::Consumer);
        memory.set_live(Side::Client, LIVE);
        memory.ask(Side::Client, WANT_DATA);
        memory.fence();
        Self {
            memory,
            side: Side::Client,
            produced,
            consumed,
            send_size,
            receive_size,
            met: true,
        }
    }

    /// The size of the ring this end reads.
    pub fn receive_size(&self) -> usize {
        self.receive_size as usize
    }

    /// The size of the ring this end writes.
    pub fn send_size(&self) -> usize {
        self.send_size as usize
    }

    /// What the peer's live byte says.
    pub fn peer(&mut self) -> Peer {
        let live = match self.side {
            Side::Server => self.memory.live(Side::Client),
            Side::Client => self.memory.live(Side::Server),
        };
        match live {
            LIVE => {
                self.met = true;
                Peer::Live
            }
            NOT_YET if !self.met => Peer::NotYet,
            _ => Peer::Gone,
        }
    }

    /// How many bytes wait to be read.
    pub fn ready(&self) -> Result<u32, Impossible> {
        let produced = self.memory.load(self.reads(), Index::Producer);
        let ready = produced.wrapping_sub(self.consumed);
        if ready > self.receive_size {
            return Err(Impossible("more bytes announced than the ring holds"));
        }
        Ok(ready)
    }

    /// How many bytes may be written.
    pub fn space(&self) -> Result<u32, Impossible> {
        let consumed = self.memory.load(self.writes(), Index::Consumer);
        let waiting = self.produced.wrapping_sub(consumed);
        if waiting > self.send_size {
            return Err(Impossible("more bytes taken than were written"));
        }
        Ok(self.send_size - waiting)
    }

    /// Copies out what is there, up to the buffer's length.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<(usize, Wake), Impossible> {
        let count = buffer.len().min(self.ready()? as usize);
        if count == 0 {
            return Ok((0, Wake(false)));
        }
        let at = (self.consumed & (self.receive_size - 1)) as usize;
        let first = count.min(self.receive_size as usize - at);
        let (head, tail) = buffer[..count].split_at_mut(first);
        self.memory.copy_out(self.reads(), at, head);
        self.memory.copy_out(self.reads(), 0, tail);
        // `count` is at most the ring's size, which fits.
        self.consumed = self.consumed.wrapping_add(count as u32);
        self.memory
            .store(self.reads(), Index::Consumer, self.consumed);
        Ok((count, self.owed(WANT_SPACE)))
    }

    /// Copies in as much as fits.
    pub fn write(&mut self, buffer: &[u8]) -> Result<(usize, Wake), Impossible> {
        let count = buffer.len().min(self.space()? as usize);
        if count == 0 {
            return Ok((0, Wake(false)));
        }
        let at = (self.produced & (self.send_size - 1)) as usize;
        let first = count.min(self.send_size as usize - at);
        let (head, tail) = buffer[..count].split_at(first);
        self.memory.copy_in(self.writes(), at, head);
        self.memory.copy_in(self.writes(), 0, tail);
        self.produced = self.produced.wrapping_add(count as u32);
        self.memory
            .store(self.writes(), Index::Producer, self.produced);
        Ok((count, self.owed(WANT_DATA)))
    }

    /// Asks for a wake-up at the next bytes, then looks again.
    pub fn want_data(&self) -> Result<u32, Impossible> {
        self.memory.ask(self.side, WANT_DATA);
        self.memory.fence();
        self.ready()
    }

    /// Asks for a wake-up at the next space, then looks again.
    pub fn want_space(&self) -> Result<u32, Impossible> {
        self.memory.ask(self.side, WANT_SPACE);
        self.memory.fence();
        self.space()
    }

    /// Says that this end leaves. The caller wakes the peer.
    pub fn leave(&self) {
        self.memory.set_live(self.side, GONE);
        self.memory.fence();
    }

    /// Takes the peer's request: published indices first, then a full barrier.
    fn owed(&self, bit: u8) -> Wake {
        self.memory.fence();
        let peer = match self.side {
            Side::Server => Side::Client,
            Side::Client => Side::Server,
        };
        Wake(self.memory.take_request(peer, bit))
    }

    fn reads(&self) -> Which {
        match self.side {
            Side::Server => Which::Left,
            Side::Client => Which::Right,
        }
    }

    fn writes(&self) -> Which {
        match self.side {
            Side::Server => Which::Right,
            Side::Client => Which::Left,
        }
    }
}
