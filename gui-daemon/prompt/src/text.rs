// SPDX-License-Identifier: GPL-3.0-or-later
//! Texts made harmless before they are shown.

/// The most characters of a service's name.
pub const SERVICE: usize = 64;
/// The most characters of an argument.
pub const ARGUMENT: usize = 160;
/// The most characters of any other text from outside.
pub const OTHER: usize = 96;

/// A text on one line, of printable ASCII, of `limit` characters at most.
///
/// Whatever else is in it is written as its number, so that nothing can be invisible, turn the
/// direction of writing, look like another letter or begin a line of its own. What was cut off
/// is counted.
///
/// ```
/// use bulkhead_prompt::text::shown;
/// assert_eq!(shown("a\u{202e}b\n", 40), "a\\u{202e}b\\u{a}");
/// assert_eq!(shown("abcdef", 3), "abc\u{2026} (3 more)");
/// ```
pub fn shown(text: &str, limit: usize) -> String {
    let mut safe = String::new();
    let mut length = 0;
    for (at, character) in text.char_indices() {
        let part = match character {
            ' '..='~' => character.to_string(),
            other => format!("\\u{{{:x}}}", u32::from(other)),
        };
        length += part.len();
        if length > limit {
            let more = text[at..].chars().count();
            safe.push_str(&format!("\u{2026} ({more} more)"));
            return safe;
        }
        safe.push_str(&part);
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_stays_text() {
        assert_eq!(shown("<b>&amp;</b>", 40), "<b>&amp;</b>");
    }

    #[test]
    fn letters_that_look_like_others_are_told_apart() {
        assert_eq!(shown("w\u{43e}rk", 40), "w\\u{43e}rk");
        assert_eq!(
            shown("a\u{200b}b\u{2066}c\x1b[1m", 40),
            "a\\u{200b}b\\u{2066}c\\u{1b}[1m"
        );
    }

    proptest! {
        #[test]
        fn whatever_it_is_it_is_short_and_printable(text in any::<String>(), limit in 0..200usize) {
            let shown = shown(&text, limit);
            let harmless = |c| matches!(c, ' '..='~' | '\u{2026}');
            prop_assert!(shown.chars().all(harmless));
            prop_assert!(shown.chars().count() <= limit + 40);
        }
    }
}
