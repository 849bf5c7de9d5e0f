// SPDX-License-Identifier: GPL-3.0-or-later
//! Every edit of a closed ledger is found.

use std::sync::LazyLock;

use policy_ledger::{Expected, Head, Limits, verify};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::fixture::{Bytes, Folder, at, decision};

/// How many edits a run tries.
const EDITS: u32 = 100_000;

/// A ledger of three segments, with a seal in each, closed.
static WHOLE: LazyLock<Bytes> = LazyLock::new(|| {
    let folder = Folder::new();
    let mut ledger = folder.open(Limits {
        segment: 1000,
        keep: 0,
    });
    for n in 0..8 {
        ledger.append(decision(&format!("s{n}")), at(n)).unwrap();
    }
    ledger.close(at(11)).unwrap();
    Bytes::read(&folder.ledger())
});

#[derive(Clone, Debug)]
enum Edit {
    FlipByte(usize, u8),
    RemoveBytes(usize, usize),
    InsertBytes(usize, Vec<u8>),
    CutFrom(usize),
    RemoveLines(usize, usize),
    SwapLines(usize, usize),
    DoubleLine(usize, usize),
    MoveLine(usize, usize),
    ReplaceLine(usize, usize),
    RemoveSegment(usize),
    SwapSegments(usize, usize),
    FlipHead(usize, u8),
    CutHead(usize),
    FlipKey(usize, u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    use Edit::*;
    let any = proptest::num::usize::ANY;
    let bit = (0..8u8).prop_map(|bit| 1 << bit);
    prop_oneof![
        6 => (any, 1..=255u8).prop_map(|(at, bits)| FlipByte(at, bits)),
        3 => (any, 1..200usize).prop_map(|(at, n)| RemoveBytes(at, n)),
        3 => (any, proptest::collection::vec(0..=255u8, 1..40)).prop_map(|(at, b)| InsertBytes(at, b)),
        3 => any.prop_map(CutFrom),
        4 => (any, 1..4usize).prop_map(|(at, n)| RemoveLines(at, n)),
        4 => (any, any).prop_map(|(a, b)| SwapLines(a, b)),
        3 => (any, any).prop_map(|(a, b)| DoubleLine(a, b)),
        3 => (any, any).prop_map(|(a, b)| MoveLine(a, b)),
        3 => (any, any).prop_map(|(a, b)| ReplaceLine(a, b)),
        1 => any.prop_map(RemoveSegment),
        1 => (any, any).prop_map(|(a, b)| SwapSegments(a, b)),
        1 => (any, bit.clone()).prop_map(|(at, bits)| FlipHead(at, bits)),
        1 => any.prop_map(CutHead),
        1 => (0..64usize, bit).prop_map(|(at, bits)| FlipKey(at, bits)),
    ]
}

/// All segments as one text, with the lengths to cut it up again after edits inside of one.
fn lines(bytes: &Bytes) -> Vec<(usize, Vec<u8>)> {
    let mut all = Vec::new();
    for (segment, (_, text)) in bytes.segments.iter().enumerate() {
        let lines = text.split_inclusive(|b| *b == b'\n');
        all.extend(lines.map(|line| (segment, line.to_owned())));
    }
    all
}

fn from_lines(whole: &Bytes, lines: Vec<(usize, Vec<u8>)>) -> Bytes {
    let mut edited = whole.clone();
    edited
        .segments
        .iter_mut()
        .for_each(|(_, text)| text.clear());
    for (segment, line) in lines {
        edited.segments[segment].1.extend(line);
    }
    edited
}

fn apply(whole: &Bytes, edit: &Edit) -> Bytes {
    let mut edited = whole.clone();
    let total: usize = whole.segments.iter().map(|(_, text)| text.len()).sum();
    let place = |at: usize| {
        let mut at = at % total;
        for (segment, (_, text)) in whole.segments.iter().enumerate() {
            if at < text.len() {
                return (segment, at);
            }
            at -= text.len();
        }
        unreachable!()
    };
    let mut all = lines(whole);
    let count = all.len();
    match edit {
        Edit::FlipByte(at, bits) => {
            let (segment, at) = place(*at);
            edited.segments[segment].1[at] ^= bits;
        }
        Edit::RemoveBytes(at, n) => {
            let (segment, at) = place(*at);
            let text = &mut edited.segments[segment].1;
            text.drain(at..(at + n).min(text.len()));
        }
        Edit::InsertBytes(at, bytes) => {
            let (segment, at) = place(*at);
            edited.segments[segment]
                .1
                .splice(at..at, bytes.iter().copied());
        }
        Edit::CutFrom(at) => {
            let (segment, at) = place(*at);
            edited.segments[segment].1.truncate(at);
            edited.segments.truncate(segment + 1);
        }
        Edit::RemoveLines(at, n) => {
            let at = at % count;
            all.drain(at..(at + n).min(count));
            edited = from_lines(whole, all);
        }
        Edit::SwapLines(a, b) => {
            let (a, b) = (a % count, b % count);
            let line = all[a].1.clone();
            all[a].1 = all[b].1.clone();
            all[b].1 = line;
            edited = from_lines(whole, all);
        }
        Edit::DoubleLine(from, to) => {
            let line = all[from % count].clone();
            all.insert(to % (count + 1), line);
            edited = from_lines(whole, all);
        }
        Edit::MoveLine(from, to) => {
            let line = all.remove(from % count);
            all.insert(to % count, line);
            edited = from_lines(whole, all);
        }
        Edit::ReplaceLine(from, to) => {
            all[to % count].1 = all[from % count].1.clone();
            edited = from_lines(whole, all);
        }
        Edit::RemoveSegment(at) => {
            edited.segments.remove(at % whole.segments.len());
        }
        Edit::SwapSegments(a, b) => {
            let segments = whole.segments.len();
            let (a, b) = (a % segments, b % segments);
            edited.segments[a].1 = whole.segments[b].1.clone();
            edited.segments[b].1 = whole.segments[a].1.clone();
        }
        Edit::FlipHead(at, bits) => {
            let length = edited.head.len();
            edited.head[at % length] ^= bits;
        }
        Edit::CutHead(at) => edited.head.truncate(at % whole.head.len()),
        Edit::FlipKey(at, bits) => {
            let mut key = edited.key.into_bytes();
            key[*at] ^= bits;
            edited.key = String::from_utf8_lossy(&key).into_owned();
        }
    }
    edited
}

#[test]
fn a_hundred_thousand_edits_are_all_found() {
    let whole = &*WHOLE;
    assert!(whole.segments.len() >= 3 && whole.verified().intact);
    let tried = std::cell::Cell::new(0);
    let config = ProptestConfig {
        cases: EDITS,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let run = TestRunner::new(config).run(&edit(), |edit| {
        let edited = apply(whole, &edit);
        tried.set(tried.get() + u32::from(edited != *whole));
        prop_assert!(edited == *whole || !edited.verified().intact);
        Ok(())
    });
    assert!(run.is_ok(), "{}", run.unwrap_err());
    // Some edits change nothing, such as a line in its own place.
    assert!(tried.get() > EDITS / 10 * 9);
}

#[test]
fn each_byte_counts() {
    let whole = &*WHOLE;
    for segment in 0..whole.segments.len() {
        for at in 0..whole.segments[segment].1.len() {
            let mut edited = whole.clone();
            edited.segments[segment].1[at] ^= 1;
            assert!(!edited.verified().intact, "{segment}:{at}");
        }
    }
}

#[test]
fn a_ledger_rewritten_with_another_key_is_not_the_one_that_was_noted() {
    let noted = Head::decode(&WHOLE.head).unwrap();
    let folder = Folder::new();
    let mut ledger = folder.open(Limits::default());
    for n in 0..10 {
        ledger.append(decision(&format!("s{n}")), at(n)).unwrap();
    }
    ledger.close(at(11)).unwrap();
    let forged = Bytes::read(&folder.ledger());
    assert!(forged.verified().intact, "it is in itself as it should be");
    let against = |key: &str, noted| {
        let expected = Expected {
            head: Some(forged.head.clone()),
            key: Some(key.to_owned()),
            noted,
            live: false,
        };
        let segments = forged
            .segments
            .iter()
            .cloned()
            .map(Ok::<_, std::convert::Infallible>);
        verify(segments, &expected).unwrap().intact
    };
    assert!(!against(&WHOLE.key, None));
    assert!(!against(&forged.key, Some(noted)));
}
