// SPDX-License-Identifier: MIT OR Apache-2.0
//! A peer that writes any byte of the shared page at any time: for the tests beside this file, and for
//! fuzzing (feature `hostile-peer`).
//!
//! The memory under test is real ([`SharedRing`]) and lies between two guard pages of
//! known bytes; the "peer" is a list of writes into it, between and in the middle of our
//! own steps.

#![allow(clippy::unwrap_used, reason = "a panic is how a finding is told")]

use std::cell::{Cell, RefCell};

use super::{End, Index, Orders, PAGE, RingMemory, SharedRing, Side, Which};
use crate::RingSizes;
use crate::mapping::{FileMapping, Region};
use crate::shared_memory::SharedMemory;

/// A step of ours or of the peer.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Read(usize),
    Write(usize),
    Want,
    Look,
    /// The peer writes a byte somewhere in the control page.
    Byte(usize, u8),
    /// The peer writes a whole index.
    Index(usize, u32),
    /// The peer behaves: it takes or gives this much.
    Take(u32),
    Give(u32),
    /// The peer scribbles in the middle of our next step, after its first look.
    Ambush(usize, u32),
}

/// Counts what is copied, and lets the peer strike between two accesses.
pub(super) struct Watched {
    ring: SharedRing,
    copied: Cell<usize>,
    ambush: RefCell<Option<(usize, u32)>>,
    pub(super) file: RefCell<SharedMemory>,
}

impl Watched {
    fn strike(&self) {
        if let Some((word, value)) = self.ambush.take() {
            self.file
                .borrow_mut()
                .write(word * 4, &value.to_le_bytes())
                .unwrap();
        }
    }
    pub(super) fn peer_word(&self, word: usize) -> u32 {
        let mut bytes = [0; 4];
        self.file.borrow().read(word * 4, &mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    }
    pub(super) fn peer_writes(&self, word: usize, value: u32) {
        self.file
            .borrow_mut()
            .write(word * 4, &value.to_le_bytes())
            .unwrap();
    }
}

impl RingMemory for &Watched {
    fn load(&self, ring: Which, index: Index) -> u32 {
        let value = self.ring.load(ring, index);
        self.strike();
        value
    }
    fn store(&self, ring: Which, index: Index, value: u32) {
        self.ring.store(ring, index, value);
    }
    fn ask(&self, side: Side, bit: u8) {
        self.ring.ask(side, bit);
    }
    fn take_request(&self, side: Side, bit: u8) -> bool {
        self.ring.take_request(side, bit)
    }
    fn live(&self, side: Side) -> u8 {
        self.ring.live(side)
    }
    fn set_live(&self, side: Side, value: u8) {
        self.ring.set_live(side, value);
    }
    fn fence(&self) {
        self.ring.fence();
    }
    fn copy_out(&self, ring: Which, at: usize, bytes: &mut [u8]) {
        self.copied.set(self.copied.get() + bytes.len());
        self.ring.copy_out(ring, at, bytes);
    }
    fn copy_in(&self, ring: Which, at: usize, bytes: &[u8]) {
        self.copied.set(self.copied.get() + bytes.len());
        self.ring.copy_in(ring, at, bytes);
    }
}

pub(super) fn watched(sizes: RingSizes) -> (Watched, (u32, u32), usize) {
    let orders = Orders::for_sizes(sizes).unwrap();
    let length = SharedRing::contiguous_len(orders);
    // One page more than the ring is told of: it must stay as it is.
    let file = SharedMemory::create("hostile", length + PAGE).unwrap();
    let mapping = FileMapping::new(file.fd(), length).unwrap();
    let ring = SharedRing::contiguous(Region::File(mapping), orders).unwrap();
    let sizes = ring.sizes();
    let watched = Watched {
        ring,
        copied: Cell::new(0),
        ambush: RefCell::new(None),
        file: RefCell::new(file),
    };
    (watched, sizes, length)
}

/// Takes the steps and panics when more than a ring is copied, or anything outside it is touched.
pub(super) fn survive(sizes: RingSizes, ops: impl IntoIterator<Item = Op>) {
    let (memory, (left, right), length) = watched(sizes);
    let mut end = End::serve(&memory, (left, right));
    for op in ops {
        memory.copied.set(0);
        match op {
            Op::Read(n) => {
                let mut buffer = vec![0; n];
                if let Ok((count, _)) = end.read(&mut buffer) {
                    assert!(count <= n && count <= left as usize);
                    assert_eq!(memory.copied.get(), count);
                }
            }
            Op::Write(n) => {
                if let Ok((count, _)) = end.write(&vec![1; n]) {
                    assert!(count <= n && count <= right as usize);
                    assert_eq!(memory.copied.get(), count);
                }
            }
            Op::Want => {
                assert!(end.want_data().map_or(true, |ready| ready <= left));
                assert!(end.want_space().map_or(true, |space| space <= right));
            }
            Op::Look => {
                let _ = end.peer();
            }
            Op::Byte(at, byte) => memory.file.borrow_mut().write(at, &[byte]).unwrap(),
            Op::Index(word, value) => memory.peer_writes(word, value),
            Op::Take(n) => memory.peer_writes(2, memory.peer_word(2).wrapping_add(n)),
            Op::Give(n) => memory.peer_writes(1, memory.peer_word(1).wrapping_add(n)),
            Op::Ambush(word, value) => *memory.ambush.borrow_mut() = Some((word, value)),
        }
        assert!(memory.copied.get() <= left.max(right) as usize);
    }
    let mut guard = vec![1; PAGE];
    memory.file.borrow().read(length, &mut guard).unwrap();
    assert!(
        guard.iter().all(|byte| *byte == 0),
        "written behind the ring"
    );
}

/// A step from five bytes: which one, and what it is about.
#[cfg(feature = "hostile-peer")]
fn op_of(bytes: &[u8]) -> Option<Op> {
    let (kind, value) = bytes.split_first()?;
    let value = u32::from_le_bytes(value.try_into().ok()?);
    let word = usize::from(kind >> 4) % 4;
    let short = value as usize % 9000;
    Some(match kind % 9 {
        0 => Op::Read(short),
        1 => Op::Write(short),
        2 => Op::Want,
        3 => Op::Look,
        4 => Op::Byte(short % PAGE, (value >> 24) as u8),
        5 => Op::Index(word, value),
        6 => Op::Take(value % 5000),
        7 => Op::Give(value % 5000),
        _ => Op::Ambush(word, value),
    })
}

/// Takes the steps that `data` stands for, with rings of a size that it chooses.
///
/// # Panics
///
/// When the peer made us copy more than a ring, or touch anything outside it.
#[cfg(feature = "hostile-peer")]
pub fn survive_bytes(data: &[u8]) {
    let (small, steps) = data.split_first().unwrap_or((&0, &[]));
    let sizes = if small % 2 == 1 {
        RingSizes {
            receive: 1,
            send: 1,
        }
    } else {
        RingSizes::both(4096)
    };
    survive(sizes, steps.chunks_exact(5).filter_map(op_of));
}
