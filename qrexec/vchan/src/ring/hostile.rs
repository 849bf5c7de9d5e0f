// SPDX-License-Identifier: MIT OR Apache-2.0
//! A peer that writes any byte of the shared page at any time.
//!
//! The memory under test is real ([`SharedRing`]) and lies between two guard pages of
//! known bytes; the "peer" is a list of writes into it, between and in the middle of our
//! own steps.

use std::cell::{Cell, RefCell};

use proptest::collection::vec;
use proptest::prelude::*;

use super::{End, Index, Orders, PAGE, RingMemory, SharedRing, Side, Which};
use crate::RingSizes;
use crate::mapping::{FileMapping, Region};
use crate::shared_memory::SharedMemory;

#[derive(Clone, Debug)]
enum Op {
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

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..9000usize).prop_map(Op::Read),
        3 => (0..9000usize).prop_map(Op::Write),
        1 => Just(Op::Want),
        1 => Just(Op::Look),
        1 => (0..PAGE, any::<u8>()).prop_map(|(at, byte)| Op::Byte(at, byte)),
        1 => (0..4usize, any::<u32>()).prop_map(|(at, value)| Op::Index(at, value)),
        3 => (0..5000u32).prop_map(Op::Take),
        3 => (0..5000u32).prop_map(Op::Give),
        1 => (0..4usize, any::<u32>()).prop_map(|(at, value)| Op::Ambush(at, value)),
    ]
}

/// Counts what is copied, and lets the peer strike between two accesses.
struct Watched {
    ring: SharedRing,
    copied: Cell<usize>,
    ambush: RefCell<Option<(usize, u32)>>,
    file: RefCell<SharedMemory>,
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
    fn peer_word(&self, word: usize) -> u32 {
        let mut bytes = [0; 4];
        self.file.borrow().read(word * 4, &mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    }
    fn peer_writes(&self, word: usize, value: u32) {
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

fn watched(sizes: RingSizes) -> (Watched, (u32, u32), usize) {
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

proptest! {
    #[test]
    fn no_peer_makes_us_copy_more_than_a_ring_or_leave_it(
        small in any::<bool>(), ops in vec(op(), 1..60)
    ) {
        let sizes = if small { RingSizes { receive: 1, send: 1 } } else { RingSizes::both(4096) };
        let (memory, (left, right), length) = watched(sizes);
        let mut end = End::serve(&memory, (left, right));
        for op in ops {
            memory.copied.set(0);
            match op {
                Op::Read(n) => {
                    let mut buffer = vec![0; n];
                    if let Ok((count, _)) = end.read(&mut buffer) {
                        prop_assert!(count <= n && count <= left as usize);
                        prop_assert_eq!(memory.copied.get(), count);
                    }
                }
                Op::Write(n) => {
                    if let Ok((count, _)) = end.write(&vec![1; n]) {
                        prop_assert!(count <= n && count <= right as usize);
                        prop_assert_eq!(memory.copied.get(), count);
                    }
                }
                Op::Want => {
                    if let Ok(ready) = end.want_data() { prop_assert!(ready <= left); }
                    if let Ok(space) = end.want_space() { prop_assert!(space <= right); }
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
            prop_assert!(memory.copied.get() <= left.max(right) as usize);
        }
        let mut guard = vec![1; PAGE];
        memory.file.borrow().read(length, &mut guard).unwrap();
        prop_assert!(guard.iter().all(|byte| *byte == 0), "written behind the ring");
    }

    #[test]
    fn what_we_keep_ourselves_survives_a_peer_that_overwrites_it(
        lies in vec(any::<u32>(), 1..8), message in vec(any::<u8>(), 1..1000)
    ) {
        let (memory, sizes, _) = watched(RingSizes::both(4096));
        let mut end = End::serve(&memory, sizes);
        for lie in lies {
            // Our producer index of the right ring and our consumer index of the left.
            memory.peer_writes(3, lie);
            memory.peer_writes(0, lie);
            let before = memory.peer_word(2);
            let (count, _) = end.write(&message).unwrap();
            prop_assert_eq!(count, message.len());
            prop_assert_eq!(memory.peer_word(3), before.wrapping_add(count as u32));
            memory.peer_writes(2, memory.peer_word(3));
            prop_assert_eq!(end.ready().unwrap(), 0);
        }
    }
}

#[test]
fn an_impossible_index_is_an_error_and_not_silence() {
    let (memory, sizes, _) = watched(RingSizes::both(4096));
    let mut end = End::serve(&memory, sizes);
    memory.peer_writes(1, 4097);
    assert!(end.read(&mut [0; 8]).is_err());
    assert!(end.want_data().is_err());
    memory.peer_writes(1, u32::MAX);
    assert!(end.ready().is_err());
    memory.peer_writes(1, 4096);
    assert_eq!(end.ready().unwrap(), 4096);
    memory.peer_writes(2, 1);
    assert!(end.write(b"x").is_err());
    assert!(end.space().is_err());
}

#[test]
fn indices_wrap_around_at_their_end() {
    let (memory, sizes, _) = watched(RingSizes::both(4096));
    End::serve(&memory, sizes).leave();
    let near = u32::MAX - 2;
    for word in 0..4 {
        memory.peer_writes(word, near);
    }
    let mut client = End::join(&memory, sizes);
    assert_eq!(client.write(b"around the end").unwrap().0, 14);
    assert_eq!(memory.peer_word(1), near.wrapping_add(14));
    memory.peer_writes(0, near.wrapping_add(14));
    assert_eq!(client.space().unwrap(), 4096);
}

#[test]
fn a_client_that_came_cannot_become_one_that_is_yet_to_come() {
    let (memory, sizes, _) = watched(RingSizes::both(4096));
    let mut end = End::serve(&memory, sizes);
    assert_eq!(end.peer(), super::Peer::NotYet);
    for (byte, expected) in [
        (1, super::Peer::Live),
        (2, super::Peer::Gone),
        (77, super::Peer::Gone),
    ] {
        memory
            .file
            .borrow_mut()
            .write(super::layout::CLIENT_LIVE, &[byte])
            .unwrap();
        assert_eq!(end.peer(), expected);
    }
}
