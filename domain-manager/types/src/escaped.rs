// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text of others, for a log or a terminal.

/// A text on one line, in which whatever is not to be seen, or would move a cursor, is escaped. Quotes
/// stay as they are: nothing is written around the text.
pub fn escaped(text: &str) -> String {
    let escaped = text.escape_debug().to_string();
    // Each quote has a backslash of its own by now, and nothing else has one like it.
    escaped.replace("\\'", "'").replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_a_cursor_is_escaped_and_quotes_are_not() {
        assert_eq!(
            escaped("don't \"move\"\u{1b}[2J\n\u{202e}"),
            "don't \"move\"\\u{1b}[2J\\n\\u{202e}"
        );
        assert_eq!(escaped(r#"\' \" \\"#), r#"\\' \\" \\\\"#);
    }
}
