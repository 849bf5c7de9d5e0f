// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operating system's errors in the words of our own messages.

use std::io;

/// A text in which the operating system's errors read like the rest of a message:
/// `no such file or directory` for `No such file or directory (os error 2)`.
pub fn os_words(text: &str) -> String {
    const MARK: &str = " (os error ";
    let mut told = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(MARK) {
        let (before, after) = rest.split_at(at);
        let number = after[MARK.len()..].split(')').next();
        let number = number.and_then(|number| number.parse().ok());
        let error = number.map(|number| io::Error::from_raw_os_error(number).to_string());
        // What the system says of the number, if that is what stands before it.
        let known = error
            .as_deref()
            .and_then(|error| error.find(MARK).map(|n| error.split_at(n)));
        match known.and_then(|(words, mark)| Some((before.strip_suffix(words)?, words, mark))) {
            Some((sentence, words, mark)) => {
                told.push_str(sentence);
                told.push_str(&beginning_small(words));
                rest = &after[mark.len()..];
            }
            None => {
                told.push_str(before);
                told.push_str(MARK);
                rest = &after[MARK.len()..];
            }
        }
    }
    told + rest
}

/// An abbreviation keeps its capitals.
fn beginning_small(words: &str) -> String {
    let mut letters = words.chars();
    match (letters.next(), letters.next()) {
        (Some(first), Some(second)) if !second.is_uppercase() => {
            let rest = &words[first.len_utf8()..];
            format!("{}{rest}", first.to_lowercase())
        }
        _ => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_read_like_the_rest_of_the_sentence() {
        let missing = io::Error::from_raw_os_error(2).to_string();
        let denied = io::Error::from_raw_os_error(13).to_string();
        assert_eq!(os_words(&missing), "no such file or directory");
        assert_eq!(
            os_words(&format!(
                "cannot read `a`: {missing}; cannot read `ä`: {denied}"
            )),
            "cannot read `a`: no such file or directory; cannot read `ä`: permission denied"
        );
        for other in [
            "",
            "a (os error x)",
            "(os error 2)",
            " (os error 2)",
            "ä (os error 2)",
        ] {
            assert_eq!(os_words(other), other);
        }
    }
}
