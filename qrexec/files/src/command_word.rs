// SPDX-License-Identifier: GPL-3.0-or-later
//! A command as the argument of `qubes.VMExec`.
//!
//! Words are joined by `+`. Inside a word, letters, digits, `.` and `_` stand for
//! themselves, `--` for a dash, and `-HH` for the byte with that upper-case hexadecimal
//! value.

use thiserror::Error;

/// An argument that is not a command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadCommand {
    /// Nothing to run.
    #[error("the command is empty")]
    Empty,
    /// A character that has to be written as `-HH`.
    #[error("the byte {0:#04x} at {1} has to be written as -HH")]
    Plain(u8, usize),
    /// A dash without a dash or two upper-case hexadecimal digits behind it.
    #[error("the dash at {0} is not followed by a dash or two upper-case hexadecimal digits")]
    Escape(usize),
    /// A NUL, which no program can be given.
    #[error("the command holds a NUL byte")]
    Nul,
}

/// Writes a command as an argument.
pub fn encode<W: AsRef<[u8]>>(words: &[W]) -> String {
    let word = |word: &W| {
        word.as_ref()
            .iter()
            .fold(String::new(), |text, byte| match byte {
                b'-' => text + "--",
                b'.' | b'_' => text + char::from(*byte).encode_utf8(&mut [0; 4]),
                b if b.is_ascii_alphanumeric() => text + char::from(*b).encode_utf8(&mut [0; 4]),
                other => text + &format!("-{other:02X}"),
            })
    };
    words.iter().map(word).collect::<Vec<_>>().join("+")
}

/// Reads a command from an argument: the program and its arguments.
pub fn decode(argument: &str) -> Result<Vec<Vec<u8>>, BadCommand> {
    let mut words = vec![Vec::new()];
    let mut bytes = argument.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        let Some(word) = words.last_mut() else { break };
        match byte {
            b'+' => words.push(Vec::new()),
            b'-' => word.push(match bytes.next() {
                Some((_, b'-')) => b'-',
                Some((_, high)) => {
                    let low = bytes.next().ok_or(BadCommand::Escape(at))?.1;
                    match (hex(high), hex(low)) {
                        (Some(high), Some(low)) => high << 4 | low,
                        _ => return Err(BadCommand::Escape(at)),
                    }
                }
                None => return Err(BadCommand::Escape(at)),
            }),
            b'.' | b'_' => word.push(byte),
            b if b.is_ascii_alphanumeric() => word.push(b),
            other => return Err(BadCommand::Plain(other, at)),
        }
    }
    if words[0].is_empty() {
        return Err(BadCommand::Empty);
    }
    if words.iter().any(|word| word.contains(&0)) {
        return Err(BadCommand::Nul);
    }
    Ok(words)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_command_is_written_as_the_specification_says() {
        assert_eq!(
            encode(&["ls", "-la", "/tmp/ä b"]),
            "ls+--la+-2Ftmp-2F-C3-A4-20b"
        );
        assert_eq!(encode(&["a", "", "b"]), "a++b");
    }

    #[test]
    fn what_no_writer_makes_is_refused() {
        assert_eq!(decode(""), Err(BadCommand::Empty));
        assert_eq!(decode("+a"), Err(BadCommand::Empty));
        assert_eq!(decode("a-"), Err(BadCommand::Escape(1)));
        assert_eq!(decode("a-2"), Err(BadCommand::Escape(1)));
        assert_eq!(decode("a-2f"), Err(BadCommand::Escape(1)));
        assert_eq!(decode("a b"), Err(BadCommand::Plain(b' ', 1)));
        assert_eq!(decode("a-00"), Err(BadCommand::Nul));
    }

    proptest! {
        #[test]
        fn any_command_comes_back(words in prop::collection::vec(
            prop::collection::vec(1..=u8::MAX, 1..20), 1..6)) {
            let argument = encode(&words);
            prop_assert!(bulkhead_types::ServiceArgument::parse(&argument).is_ok());
            prop_assert_eq!(decode(&argument), Ok(words));
        }

        #[test]
        fn any_text_is_judged_without_panic(text in ".{0,60}") {
            let _ = decode(&text);
        }
    }
}
