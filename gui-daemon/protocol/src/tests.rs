// SPDX-License-Identifier: MIT OR Apache-2.0
//! The wire format, held to the specification and to hostile bytes.

use proptest::prelude::*;

use crate::limits::*;
use crate::*;

fn header(kind: u32, window: u32, length: u32) -> Vec<u8> {
    [kind, window, length].map(u32::to_le_bytes).concat()
}

fn from_agent(bytes: &[u8], version: Version) -> Result<Option<(WindowId, FromAgent)>, Violation> {
    let mut decoder = Decoder::default();
    decoder.feed(bytes);
    decoder.message(version)
}

const V1_5: Version = Version { major: 1, minor: 5 };
const V1_7: Version = Version { major: 1, minor: 7 };

#[test]
fn the_worked_example_of_create_is_nine_words() {
    let create = FromAgent::Create {
        rect: WireRect {
            x: 10,
            y: 20,
            width: 300,
            height: 200,
        },
        override_redirect: false,
    };
    let bytes = create.to_bytes(WindowId(1));
    let words: Vec<u32> = bytes
        .chunks_exact(4)
        .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
        .collect();
    insta::assert_compact_debug_snapshot!(words, @"[130, 1, 24, 10, 20, 300, 200, 0, 0]");
    assert_eq!(
        from_agent(&bytes, Version::OURS),
        Ok(Some((WindowId(1), create)))
    );
}

#[test]
fn every_body_has_the_size_of_the_specification() {
    let sizes = Kind::ALL
        .map(|kind| {
            let fits = |n: &u32| kind.check_length(*n, Version::OURS).is_ok();
            let least = (0..64000).find(fits).unwrap();
            let more = fits(&(least + 4));
            format!(
                "{} {kind:?} {least}{}",
                kind as u32,
                if more { "+" } else { "" }
            )
        })
        .join("\n");
    insta::assert_snapshot!(sizes, @r"
    124 KeyPress 20
    125 Button 20
    126 Motion 16
    127 Crossing 28
    128 Focus 12
    130 Create 24
    131 Destroy 0
    132 Map 8
    133 Unmap 0
    134 Configure 20
    135 MfnDump 28+
    136 ShmImage 16
    137 Close 0
    139 ClipboardRequest 0
    140 ClipboardData 0+
    141 WmName 128
    142 KeymapNotify 32
    143 Dock 0
    144 WindowHints 36
    145 WindowFlags 8
    146 WmClass 128
    147 WindowDump 16+
    148 Cursor 4
    149 WindowDumpAck 0
    ");
}

#[test]
fn what_does_not_exist_or_goes_the_wrong_way_ends_the_session() {
    for number in [0, 123, 129, 138, 150, u32::MAX] {
        let refused = from_agent(&header(number, 1, 0), Version::OURS);
        assert_eq!(refused, Err(Violation::UnknownKind(number)));
    }
    let refused = from_agent(&header(124, 1, 20), Version::OURS);
    assert_eq!(refused, Err(Violation::WrongWay(Kind::KeyPress)));
    let mut decoder = Decoder::default();
    decoder.feed(&header(130, 1, 24));
    let refused = decoder.message::<FromDaemon>(Version::OURS);
    assert_eq!(refused, Err(Violation::WrongWay(Kind::Create)));
}

#[test]
fn a_wrong_length_is_fatal_since_1_6_and_corrected_before() {
    let map = [header(132, 1, 9), vec![0; 9]].concat();
    let wrong = Violation::Length {
        kind: Kind::Map,
        length: 9,
    };
    assert_eq!(from_agent(&map, Version::OURS), Err(wrong));
    assert!(matches!(
        from_agent(&map, V1_5),
        Ok(Some((_, FromAgent::Map { .. })))
    ));
}

#[test]
fn lengths_with_the_top_bit_set_are_refused_before_a_byte_is_kept() {
    for kind in Kind::ALL
        .into_iter()
        .filter(|kind| kind.sent_by(Sender::Agent))
    {
        for length in [0x8000_0000, u32::MAX, u32::MAX - 3] {
            let refused = from_agent(&header(kind as u32, 1, length), Version::OURS);
            assert!(refused.is_err(), "{kind:?} {length:#x}");
        }
    }
}

#[test]
fn an_image_must_be_whole_small_enough_and_made_of_grants() {
    let dump = |words: &[u32]| {
        let body: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        from_agent(
            &[header(147, 1, body.len() as u32), body].concat(),
            Version::OURS,
        )
    };
    assert_eq!(dump(&[1, 1, 1, 32, 5]), Err(Violation::DumpKind(1)));
    assert_eq!(
        dump(&[0, 33, 32, 32, 5]),
        Err(Violation::TooFewPages {
            given: 1,
            needed: 2
        })
    );
    assert!(matches!(
        dump(&[0, 16385, 0, 32]),
        Err(Violation::ImageSize { .. })
    ));
    assert!(matches!(
        dump(&[0, 1, 6145, 32]),
        Err(Violation::ImageSize { .. })
    ));
    assert!(matches!(
        dump(&[0, u32::MAX, u32::MAX, 32]),
        Err(Violation::ImageSize { .. })
    ));
    assert!(matches!(dump(&[0, 0, 0, 32]), Ok(Some(_))));
    let Ok(Some((_, FromAgent::WindowDump(exact)))) = dump(&[0, 32, 32, 24, 5, 6]) else {
        panic!("a page holds 32x32 pixels");
    };
    assert_eq!(exact.refs(), [5], "surplus references are left out");
    let odd = [header(147, 1, 18), vec![0; 18]].concat();
    assert!(matches!(
        from_agent(&odd, Version::OURS),
        Err(Violation::Length { .. })
    ));
    let short = header(147, 1, 12);
    assert!(matches!(
        from_agent(&short, Version::OURS),
        Err(Violation::Length { .. })
    ));
    let largest = Dump::pages_for(MAX_WIDTH, MAX_HEIGHT);
    assert_eq!(
        (largest, HEADER_SIZE + MAX_DUMP_BODY),
        (MAX_IMAGE_PAGES, 393_244)
    );
}

#[test]
fn machine_frames_are_refused_before_their_body_arrives() {
    let refused = from_agent(&header(135, 1, 28), Version::OURS);
    assert_eq!(refused, Err(Violation::MachineFrames));
}

#[test]
fn a_clipboard_text_has_the_limit_of_its_version() {
    let clip = |n: u32, version| from_agent(&header(140, 1, n), version);
    assert_eq!(
        clip(256_001, Version::OURS),
        Ok(None),
        "the overflow signal is allowed"
    );
    assert!(clip(256_002, Version::OURS).is_err());
    assert_eq!(clip(65_000, V1_7), Ok(None));
    assert!(clip(65_001, V1_7).is_err());
}

#[test]
fn unused_bytes_of_every_fixed_field_are_zero() {
    let title = FromAgent::WmName(Title::new(b"hello")).to_bytes(WindowId(1));
    assert_eq!(title.len(), HEADER_SIZE + TITLE_SIZE);
    assert!(title[HEADER_SIZE + 5..].iter().all(|byte| *byte == 0));
    let map = FromDaemon::Map.to_bytes(WindowId(1));
    assert!(map[HEADER_SIZE..].iter().all(|byte| *byte == 0));
    assert_eq!(Title::new(&[b'x'; 300]).bytes().len(), 127);
}

#[test]
fn the_handshake_comes_in_pieces() {
    let mut decoder = Decoder::default();
    decoder.feed(&[8, 0]);
    assert_eq!(decoder.version(), None);
    decoder.feed(&[1, 0]);
    assert_eq!(decoder.version(), Some(Version::OURS));
    let screen = Screen::new(1920, 1080, 24);
    let bytes = screen.to_bytes();
    decoder.feed(&bytes[..15]);
    assert_eq!(decoder.screen(), None);
    decoder.feed(&bytes[15..]);
    assert_eq!(decoder.screen(), Some(screen));
    assert_eq!(decoder.pending(), 0);
}

fn rect() -> impl Strategy<Value = WireRect> {
    any::<(i32, i32, u32, u32)>().prop_map(|(x, y, width, height)| WireRect {
        x,
        y,
        width,
        height,
    })
}

fn agent_message() -> impl Strategy<Value = FromAgent> {
    use FromAgent::*;
    prop_oneof![
        (rect(), any::<bool>()).prop_map(|(rect, override_redirect)| Create {
            rect,
            override_redirect
        }),
        prop_oneof![Just(Destroy), Just(Unmap), Just(Dock)],
        (any::<u32>(), any::<bool>()).prop_map(|(id, override_redirect)| Map {
            transient_for: WindowId(id),
            override_redirect
        }),
        rect().prop_map(Configure),
        rect().prop_map(ShmImage),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(ClipboardData),
        proptest::collection::vec(1..=255u8, 0..127).prop_map(|text| WmName(Title::new(&text))),
        any::<(u32, u32)>().prop_map(|(set, unset)| WindowFlags(crate::WindowFlags { set, unset })),
        (1..80u32, 1..80u32).prop_map(|(width, height)| {
            let refs = (0..Dump::pages_for(width, height) as u32).collect();
            WindowDump(Dump::new(width, height, refs).unwrap())
        }),
        any::<u32>().prop_map(Cursor),
    ]
}

fn press() -> impl Strategy<Value = Press> {
    any::<(bool, (i32, i32), u32, u32)>().prop_map(|(down, at, state, code)| Press {
        down,
        at,
        state,
        code,
    })
}

fn daemon_message() -> impl Strategy<Value = FromDaemon> {
    use FromDaemon::*;
    prop_oneof![
        press().prop_map(Key),
        press().prop_map(Button),
        any::<((i32, i32), u32)>().prop_map(|(at, state)| Motion { at, state }),
        any::<bool>().prop_map(|gained| Focus { gained }),
        any::<[u8; 32]>().prop_map(KeymapNotify),
        (rect(), any::<bool>()).prop_map(|(rect, override_redirect)| Configure {
            rect,
            override_redirect
        }),
        prop_oneof![Just(Destroy), Just(Map), Just(Close), Just(WindowDumpAck)],
    ]
}

/// Cuts the stream after each of `cuts` bytes and takes whatever is there.
fn decode_in_pieces<M: Message>(
    stream: &[u8],
    cuts: &[usize],
) -> Result<Vec<(WindowId, M)>, Violation> {
    let mut decoder = Decoder::default();
    let mut taken = Vec::new();
    let mut rest = stream;
    for cut in cuts.iter().copied().chain([usize::MAX]) {
        let (now, later) = rest.split_at(cut.min(rest.len()));
        decoder.feed(now);
        rest = later;
        while let Some(message) = decoder.message(Version::OURS)? {
            taken.push(message);
        }
        assert!(decoder.pending() <= HEADER_SIZE + MAX_DUMP_BODY);
    }
    Ok(taken)
}

proptest! {
    #[test]
    fn what_an_agent_encodes_arrives_whole_however_it_is_cut(
        sent in proptest::collection::vec((any::<u32>().prop_map(WindowId), agent_message()), 0..8),
        cuts in proptest::collection::vec(0..90usize, 0..30),
    ) {
        let mut stream = Vec::new();
        sent.iter().for_each(|(window, message)| message.encode(*window, &mut stream));
        prop_assert_eq!(decode_in_pieces(&stream, &cuts), Ok(sent));
    }

    #[test]
    fn what_a_daemon_encodes_arrives_whole_however_it_is_cut(
        sent in proptest::collection::vec((any::<u32>().prop_map(WindowId), daemon_message()), 0..8),
        cuts in proptest::collection::vec(0..90usize, 0..30),
    ) {
        let mut stream = Vec::new();
        sent.iter().for_each(|(window, message)| message.encode(*window, &mut stream));
        prop_assert_eq!(decode_in_pieces(&stream, &cuts), Ok(sent));
    }

    #[test]
    fn garbage_never_panics(
        kinds in proptest::collection::vec((120..152u32, any::<u32>(), 0..300u32), 0..6),
        noise in proptest::collection::vec(any::<u8>(), 0..400),
        cuts in proptest::collection::vec(0..90usize, 0..10),
    ) {
        let mut stream = Vec::new();
        for (kind, window, length) in kinds {
            stream.extend(header(kind, window, length));
            stream.extend(noise.iter().cycle().take(length as usize));
        }
        stream.extend(noise);
        let _ = decode_in_pieces::<FromAgent>(&stream, &cuts);
        let _ = decode_in_pieces::<FromDaemon>(&stream, &cuts);
    }
}
