// SPDX-License-Identifier: GPL-3.0-or-later
//! Files from another domain: copies, answers to copies, and what is to be opened.

use std::path::Component;

use bulkhead_files::open::{Address, FIELD_LENGTH, Request};
use bulkhead_files::wire::{Answer, Decoder, Entry, Event, Limits, NameRule};

use crate::pieces;

const LIMITS: Limits = Limits {
    bytes: 1 << 20,
    entries: 100,
};

/// A sender against the receiver of its copy: in one piece or in many it is the same copy, within its
/// limits, and no name leads out of its folder.
pub fn copy(data: &[u8]) {
    for rule in [NameRule::Plain, NameRule::All] {
        let whole = unpacked(std::iter::once(data.get(1..).unwrap_or_default()), rule);
        let cut = unpacked(pieces(data), rule);
        assert_eq!(whole, cut);
    }
}

fn unpacked<'a>(pieces: impl Iterator<Item = &'a [u8]>, rule: NameRule) -> (Vec<String>, bool) {
    let mut decoder = Decoder::new(rule, LIMITS);
    let mut found = Vec::new();
    let (mut left, mut content, mut bytes, mut entries) = (0, 0, 0, 0);
    let mut begin = |entry: &Entry| {
        entries += 1;
        assert!(entries <= LIMITS.entries);
        assert!(entry.permissions <= 0o777);
        let path = entry.name.as_path();
        let inside = |part| matches!(part, Component::Normal(_));
        assert!(path.components().all(inside), "{path:?}");
        format!("{entry:?}")
    };
    for mut piece in pieces {
        loop {
            let event = match decoder.next(&mut piece) {
                Ok(None) => break,
                Ok(Some(event)) => event,
                Err(_) => {
                    let again = decoder.next(&mut &b"more"[..]);
                    assert!(again.is_err(), "broken stays broken");
                    return (found, false);
                }
            };
            match event {
                Event::Folder(entry) => found.push(begin(&entry)),
                Event::FileBegins(entry) => {
                    left = entry.length;
                    found.push(begin(&entry));
                }
                Event::Content(part) => {
                    assert!(!part.is_empty());
                    content += part.len() as u64;
                    bytes += part.len() as u64;
                    assert!(content <= left && bytes <= LIMITS.bytes);
                }
                Event::FileEnds => {
                    assert_eq!(std::mem::take(&mut content), left);
                }
                Event::Link(entry, target) => {
                    assert!(!target.starts_with(b"/") && entry.name.depth() > 1);
                    found.push(begin(&entry));
                }
                Event::End(checksum) => found.push(checksum.to_string()),
            }
        }
    }
    (found, decoder.ended())
}

/// A receiver against the sender of a copy.
pub fn answer(data: &[u8]) {
    if let Ok(answer) = Answer::decode(data) {
        let again = Answer::decode(&answer.encode()).unwrap();
        assert_eq!(again.checksum, answer.checksum);
        assert_eq!(again.last_name, answer.last_name);
        // A code that is unknown here becomes a known one, and then it stays.
        assert_eq!(Answer::decode(&again.encode()), Ok(again));
    }
}

/// A caller that wants something opened: the field with a file's name, or an address.
pub fn opening(data: &[u8]) {
    if let Some(field) = data.first_chunk::<FIELD_LENGTH>()
        && let Ok(request) = Request::decode(field)
    {
        let name = request.name();
        assert!(!name.is_empty() && !name.contains('/') && name != "." && name != "..");
    }
    if let Ok(address) = Address::read(data) {
        let text = format!("{address:?}");
        assert!(!text.contains(char::is_control) && !text.contains(char::is_whitespace));
    }
}
