// SPDX-License-Identifier: GPL-3.0-or-later
//! The format of a copy, from both ends.

use bulkhead_files::wire::{
    BadName, Decoder, Encoder, Event, Header, Kind, Limits, NameRule, Stamp, UnsafeLink, Violation,
};
use proptest::prelude::*;

/// What a test sends: kind, name, permissions, content.
type Sent = (Kind, String, u32, Vec<u8>);

fn written(entries: &[Sent]) -> (Vec<u8>, u32) {
    let mut encoder = Encoder::new();
    let mut bytes = Vec::new();
    for (kind, name, permissions, content) in entries {
        let header = Header {
            mode: kind.type_bits() | permissions,
            content_length: content.len() as u64,
            modified: Stamp {
                seconds: 7,
                nanoseconds: 8,
            },
            ..Header::default()
        };
        bytes.extend(encoder.entry(header, name.as_bytes()).unwrap());
        bytes.extend_from_slice(encoder.content(content));
    }
    bytes.extend(encoder.end());
    (bytes, encoder.checksum())
}

/// Everything a decoder says about `bytes`, handed over in pieces of `piece` bytes.
fn read(bytes: &[u8], piece: usize) -> (Vec<Sent>, Option<u32>, Option<Violation>) {
    let mut decoder = Decoder::new(NameRule::All, Limits::default());
    let (mut entries, mut end) = (Vec::<Sent>::new(), None);
    for mut input in bytes.chunks(piece) {
        loop {
            match decoder.next(&mut input) {
                Err(violation) => return (entries, end, Some(violation)),
                Ok(None) => break,
                Ok(Some(event)) => match event {
                    Event::Folder(entry) => {
                        let name = String::from_utf8_lossy(entry.name.as_bytes()).into_owned();
                        entries.push((Kind::Folder, name, entry.permissions, Vec::new()));
                    }
                    Event::FileBegins(entry) => {
                        let name = String::from_utf8_lossy(entry.name.as_bytes()).into_owned();
                        entries.push((Kind::File, name, entry.permissions, Vec::new()));
                    }
                    Event::Content(piece) => entries.last_mut().unwrap().3.extend(piece),
                    Event::FileEnds => {}
                    Event::Link(entry, target) => {
                        let name = String::from_utf8_lossy(entry.name.as_bytes()).into_owned();
                        entries.push((Kind::Link, name, entry.permissions, target));
                    }
                    Event::End(checksum) => end = Some(checksum),
                },
            }
        }
    }
    (entries, end, None)
}

fn violation(bytes: &[u8]) -> Option<Violation> {
    read(bytes, 4096).2
}

#[test]
fn a_copy_comes_out_as_it_went_in_whatever_the_pieces() {
    let entries = vec![
        (Kind::Folder, "top".into(), 0o755, Vec::new()),
        (Kind::File, "top/empty".into(), 0o600, Vec::new()),
        (Kind::File, "top/full".into(), 0o644, vec![7; 5000]),
        (Kind::Link, "top/link".into(), 0o777, b"full".to_vec()),
        (Kind::Folder, "top".into(), 0o555, Vec::new()),
    ];
    let (bytes, checksum) = written(&entries);
    for piece in [1, 3, 32, 4096, bytes.len()] {
        assert_eq!(read(&bytes, piece), (entries.clone(), Some(checksum), None));
    }
}

#[test]
fn set_user_id_bits_do_not_cross() {
    let (bytes, _) = written(&[(Kind::File, "a".into(), 0o7755, Vec::new())]);
    assert_eq!(read(&bytes, 100).0[0].2, 0o755);
}

#[test]
fn what_contradicts_itself_ends_the_copy() {
    let header = |mode, content_length, nanoseconds| {
        let modified = Stamp {
            seconds: 0,
            nanoseconds,
        };
        let mut bytes = Header {
            name_length: 4,
            mode,
            content_length,
            modified,
            ..Header::default()
        }
        .encode()
        .to_vec();
        bytes.extend_from_slice(b"t/a\0");
        bytes
    };
    assert_eq!(violation(&header(0o100_644, 5, 999_999_999)), None);
    assert_eq!(
        violation(&header(0o100_644, 5, 1_000_000_000)),
        Some(Violation::Header)
    );
    assert_eq!(violation(&header(0o040_755, 1, 0)), Some(Violation::Header));
    assert_eq!(violation(&header(0o120_777, 0, 0)), Some(Violation::Header));
    assert_eq!(
        violation(&header(0o120_777, 16384, 0)),
        Some(Violation::Header)
    );
    assert_eq!(violation(&header(0o020_644, 0, 0)), Some(Violation::Type));
    assert_eq!(
        violation(&header(0o100_644, u64::MAX, 0)),
        Some(Violation::Limit)
    );

    let mut open_ended = header(0o100_644, 0, 0);
    *open_ended.last_mut().unwrap() = b'x';
    assert_eq!(violation(&open_ended), Some(Violation::Unterminated));
    let longest = Header {
        name_length: u32::MAX,
        mode: 0o100_644,
        ..Header::default()
    };
    let too_long = Violation::Name(BadName::TooLong(u32::MAX as usize - 1));
    assert_eq!(violation(&longest.encode()), Some(too_long));
    let climbing = written(&[(Kind::Link, "t/a".into(), 0o777, b"../b".to_vec())]).0;
    assert_eq!(
        violation(&climbing),
        Some(Violation::Link(UnsafeLink::Escapes))
    );
    let mut more = written(&[]).0;
    more.push(0);
    assert_eq!(violation(&more), Some(Violation::AfterEnd));
}

#[test]
fn limits_count_headers_and_bytes() {
    let entries: Vec<Sent> = (0..3)
        .map(|n| (Kind::File, format!("f{n}"), 0o644, vec![0; 10]))
        .collect();
    let (bytes, _) = written(&entries);
    let verdict = |limits| {
        let mut decoder = Decoder::new(NameRule::Plain, limits);
        let mut input = &bytes[..];
        loop {
            match decoder.next(&mut input) {
                Ok(Some(Event::End(_))) => return Ok(()),
                Ok(_) => {}
                Err(violation) => return Err(violation),
            }
        }
    };
    assert_eq!(
        verdict(Limits {
            bytes: 30,
            entries: 3
        }),
        Ok(())
    );
    assert_eq!(
        verdict(Limits {
            bytes: 29,
            entries: 3
        }),
        Err(Violation::Limit)
    );
    assert_eq!(
        verdict(Limits {
            bytes: 30,
            entries: 2
        }),
        Err(Violation::Limit)
    );
}

#[test]
fn nothing_is_taken_after_a_violation() {
    let mut decoder = Decoder::new(NameRule::Plain, Limits::default());
    let bad = Header {
        name_length: 2,
        mode: 0,
        ..Header::default()
    }
    .encode();
    assert_eq!(decoder.next(&mut &bad[..]), Err(Violation::Type));
    let (good, _) = written(&[(Kind::File, "a".into(), 0o644, Vec::new())]);
    assert_eq!(decoder.next(&mut &good[..]), Err(Violation::AfterEnd));
}

fn any_file() -> impl Strategy<Value = Sent> {
    let content = prop::collection::vec(any::<u8>(), 0..200);
    ("[a-z]{1,8}(/[a-z]{1,8}){0,2}", 0..=0o777u32, content)
        .prop_map(|(name, mode, content)| (Kind::File, name, mode, content))
}

proptest! {
    #[test]
    fn any_copy_comes_back(entries in prop::collection::vec(any_file(), 0..6), piece in 1..300usize) {
        let (bytes, checksum) = written(&entries);
        prop_assert_eq!(read(&bytes, piece), (entries, Some(checksum), None));
    }

    #[test]
    fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400),
        piece in 1..50usize) {
        let _ = read(&bytes, piece);
    }

    #[test]
    fn one_changed_byte_never_passes_for_the_same_copy(entries in prop::collection::vec(any_file(), 1..4),
        at: prop::sample::Index, flip in 1..=u8::MAX) {
        let (mut bytes, checksum) = written(&entries);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let (_, end, violation) = read(&bytes, 64);
        prop_assert!(violation.is_some() || end != Some(checksum));
    }
}
