// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a line to its words.

use crate::diagnostic::Diagnostic;
use crate::place::{FileId, Span};

/// A word with its place.
#[derive(Clone, Copy, Debug)]
pub struct Word<'a> {
    /// Its letters.
    pub text: &'a str,
    /// Where it stands.
    pub span: Span,
}

impl<'a> Word<'a> {
    /// An error about it.
    pub fn error(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(self.span, message)
    }

    /// The word from its byte `at` on.
    pub fn from(self, at: usize) -> Self {
        Word {
            text: &self.text[at..],
            span: Span {
                start: self.span.start + at as u32,
                ..self.span
            },
        }
    }

    /// The word up to its byte `at`.
    pub fn until(self, at: usize) -> Self {
        Word {
            text: &self.text[..at],
            span: Span {
                end: self.span.start + at as u32,
                ..self.span
            },
        }
    }
}

/// The words of a line that begins at byte `start` of its file; none for a comment.
///
/// # Errors
///
/// The line holds a character that makes it look like something else than it is.
pub fn words(file: FileId, start: usize, line: &str) -> Result<Vec<Word<'_>>, Diagnostic> {
    let content = line.strip_suffix('\r').unwrap_or(line);
    let comment = content.trim_start().starts_with('#');
    let misleading = |c: char| {
        let hides_a_line = matches!(
            c,
            '\r' | '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}' | '\u{85}'
        );
        hides_a_line || !comment && (c.is_control() && c != '\t' || is_invisible(c))
    };
    if let Some((at, bad)) = content.char_indices().find(|(_, c)| misleading(*c)) {
        let span = Span::new(file, start + at, start + at + bad.len_utf8());
        let diagnostic = Diagnostic::error(
            span,
            format!(
                "the line holds the unprintable character {}",
                bad.escape_unicode()
            ),
        );
        return Err(match bad {
            '\u{feff}' if start + at == 0 => diagnostic
                .label("a byte order mark")
                .help("save the file as UTF-8 without a byte order mark"),
            _ => diagnostic.help("delete the character"),
        });
    }
    if comment {
        return Ok(Vec::new());
    }
    let offset = |part: &str| start + (part.as_ptr() as usize - line.as_ptr() as usize);
    let words = content.split_whitespace().map(|text| Word {
        text,
        span: Span::new(file, offset(text), offset(text) + text.len()),
    });
    Ok(words.collect())
}

/// Characters without a shape, or that turn the direction of what follows.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}')
}
