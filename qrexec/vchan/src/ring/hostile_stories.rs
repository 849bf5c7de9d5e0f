// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ring against a hostile peer.

use proptest::collection::vec;
use proptest::prelude::*;

use super::hostile::{Op, survive, watched};
use super::{End, PAGE};
use crate::RingSizes;

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

proptest! {
    #[test]
    fn no_peer_makes_us_copy_more_than_a_ring_or_leave_it(
        small in any::<bool>(), ops in vec(op(), 1..60)
    ) {
        let sizes = if small { RingSizes { receive: 1, send: 1 } } else { RingSizes::both(4096) };
        survive(sizes, ops);
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
