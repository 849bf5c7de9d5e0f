// SPDX-License-Identifier: GPL-3.0-or-later
//! Names of entries: where they may point and which characters they may show.

use std::path::Path;

use thiserror::Error;

/// The longest name, in bytes, without its closing NUL.
pub const NAME_MAX: usize = 16383;

/// Which characters a name may hold. Where a name may point is the same for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NameRule {
    /// Printable ASCII, and letters, digits and signs of scripts that are read from left
    /// to right and do not combine: what is seen is what is there.
    #[default]
    Plain,
    /// Any bytes but NUL (the service argument `allow-all-names`).
    All,
}

/// The checked name of an entry: a relative path in its shortest form.
///
/// No part is empty, `.` or `..`; there is no leading or trailing slash and no NUL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryName(Vec<u8>);

/// Bytes that cannot name an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadName {
    /// More than [`NAME_MAX`] bytes.
    #[error("the name has {0} bytes; the limit is {NAME_MAX}")]
    TooLong(usize),
    /// A NUL inside, or an empty, `.` or `..` part, or a slash at either end.
    #[error("the name is not a relative path in its shortest form")]
    Path,
    /// A character that the rule does not allow.
    #[error("the name holds characters that could hide what it is")]
    Characters,
}

impl EntryName {
    /// Checks bytes and makes them a name.
    pub fn parse(bytes: &[u8], rule: NameRule) -> Result<Self, BadName> {
        if bytes.len() > NAME_MAX {
            return Err(BadName::TooLong(bytes.len()));
        }
        let bad_part = |part: &[u8]| matches!(part, b"" | b"." | b"..");
        if bytes.contains(&0) || bytes.split(|b| *b == b'/').any(bad_part) {
            return Err(BadName::Path);
        }
        if rule == NameRule::Plain {
            let text = std::str::from_utf8(bytes).map_err(|_| BadName::Characters)?;
            if !text.chars().all(is_plain) {
                return Err(BadName::Characters);
            }
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The name as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The name as a relative path.
    pub fn as_path(&self) -> &Path {
        use std::os::unix::ffi::OsStrExt;
        Path::new(std::ffi::OsStr::from_bytes(&self.0))
    }

    /// How many parts the name has, at least 1.
    pub fn depth(&self) -> usize {
        self.0.split(|b| *b == b'/').count()
    }
}

/// Blocks whose letters, digits and signs stand alone and run from left to right.
const SIGNS: [(u32, u32); 10] = [
    (0x00a1, 0x024f), // Latin-1 and Latin Extended A, B
    (0x2010, 0x2027), // dashes, quotation marks, dots
    (0x2030, 0x205e), // per mille to vertical dots
    (0x20a0, 0x20c0), // currency
    (0x2100, 0x218b), // letter-like signs, number forms
    (0x2190, 0x23ff), // arrows, mathematics, technical
    (0x2800, 0x28ff), // Braille
    (0x3001, 0x3029), // CJK punctuation, up to the tone marks
    (0x3031, 0x303f), // CJK repeat marks
    (0x309b, 0x30ff), // Katakana with its signs
];

/// The same, of which only letters and digits count: they have places to which nothing is assigned yet.
const LETTERS: [(u32, u32); 11] = [
    (0x0250, 0x02af),     // IPA Extensions
    (0x0370, 0x03ff),     // Greek
    (0x0400, 0x0482),     // Cyrillic, up to the combining signs
    (0x048a, 0x052f),     // Cyrillic, after them
    (0x1e00, 0x1fff),     // Latin Extended Additional, Greek Extended
    (0x3041, 0x3096),     // Hiragana
    (0x3105, 0x312f),     // Bopomofo
    (0x3131, 0x318e),     // Hangul letters
    (0x3400, 0x9fff),     // Han
    (0xac00, 0xd7a3),     // Hangul syllables
    (0x2_0000, 0x3_134a), // Han, supplementary planes
];

fn is_plain(c: char) -> bool {
    let code = u32::from(c);
    match code {
        0x20..=0x7e => true,
        0x00ad | 0x3000 | 0x3164 => false, // soft hyphen, wide space, Hangul filler
        _ => {
            let within = |(first, last): &(u32, u32)| (*first..=*last).contains(&code);
            SIGNS.iter().any(within) || LETTERS.iter().any(within) && c.is_alphanumeric()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(name: &str) -> Result<EntryName, BadName> {
        EntryName::parse(name.as_bytes(), NameRule::Plain)
    }

    #[test]
    fn a_name_never_points_out_of_the_folder() {
        for bad in [
            "", "/", "/etc", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\0b",
        ] {
            assert_eq!(plain(bad), Err(BadName::Path), "{bad:?}");
        }
        for good in ["a", "a/b/c", "...", ".profile", "a b", "..a/b.."] {
            assert!(plain(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn characters_that_hide_something_are_refused_unless_all_names_are_allowed() {
        let hiding = [
            "a\nb",
            "\x1b[31m",
            "\u{202e}fdp.exe",
            "a\u{200b}b",
            "e\u{301}",
            "\u{a0}",
            "\u{5d0}",
            "\u{feff}",
            "\u{ad}",
            "\u{3000}",
            "\u{e000}",
            "\x7f",
            "\u{85}",
            // Nothing is assigned to these.
            "\u{378}",
            "\u{2a6e0}",
        ];
        for bad in hiding {
            assert_eq!(plain(bad), Err(BadName::Characters), "{bad:?}");
            assert!(EntryName::parse(bad.as_bytes(), NameRule::All).is_ok());
        }
        for good in [
            "Übung.pdf",
            "Ελλάδα",
            "Привет",
            "文書",
            "かな",
            "한글",
            "5 €",
            "∑",
        ] {
            assert!(plain(good).is_ok(), "{good:?}");
        }
        assert_eq!(
            EntryName::parse(b"\xff", NameRule::Plain),
            Err(BadName::Characters)
        );
        assert!(EntryName::parse(b"\xff", NameRule::All).is_ok());
    }

    #[test]
    fn every_single_byte_is_judged() {
        for byte in 0..=u8::MAX {
            let allowed = EntryName::parse(&[byte], NameRule::Plain).is_ok();
            let printable = (0x20..=0x7e).contains(&byte);
            assert_eq!(
                allowed,
                printable && byte != b'/' && byte != b'.',
                "{byte:#x}"
            );
            let any = EntryName::parse(&[byte], NameRule::All).is_ok();
            assert_eq!(any, !matches!(byte, 0 | b'/' | b'.'), "{byte:#x}");
        }
    }

    #[test]
    fn the_limit_holds_at_the_byte() {
        assert!(plain(&"a".repeat(NAME_MAX)).is_ok());
        assert_eq!(
            plain(&"a".repeat(NAME_MAX + 1)),
            Err(BadName::TooLong(NAME_MAX + 1))
        );
    }

    proptest! {
        #[test]
        fn a_name_that_passes_stays_below(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(name) = EntryName::parse(&bytes, NameRule::All) {
                let normal = |c| matches!(c, std::path::Component::Normal(_));
                prop_assert!(name.as_path().components().all(normal));
                prop_assert_eq!(name.as_path().components().count(), name.depth());
            }
        }
    }
}
