// SPDX-License-Identifier: MIT OR Apache-2.0
//! A reply: content, or an exception that names its kind.

use std::fmt;

use thiserror::Error;

/// A failed request, as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The kind, one of the names that clients know, such as `QubesVMNotFoundError`.
    pub kind: String,
    /// What went wrong, in a sentence for a person.
    pub message: String,
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Exception {}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done; the content may be empty.
    Ok(Vec<u8>),
    /// Failed.
    Exception(Exception),
}

/// Bytes that are not a reply.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BadReply {
    /// The server hung up without a word.
    #[error("the domain manager hung up without an answer")]
    Empty,
    /// The bytes follow no known form.
    #[error("the domain manager's answer is malformed")]
    Malformed,
}

impl Reply {
    /// The bytes to send before closing the connection.
    ///
    /// An exception carries no traceback, and its finished message instead of a format
    /// with fields. NUL bytes cannot stand in a field; they become spaces.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ok(content) => [b"0\0", content.as_slice()].concat(),
            Self::Exception(Exception { kind, message }) => {
                let message = message.replace('\0', " ");
                format!("2\0{}\0\0{message}\0", kind.replace('\0', " ")).into_bytes()
            }
        }
    }

    /// Reads a whole reply: everything up to the end of the stream.
    ///
    /// When an exception comes as a format with fields, each `%s` and `%d` takes the next field.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadReply> {
        if bytes.is_empty() {
            return Err(BadReply::Empty);
        }
        if let Some(content) = bytes.strip_prefix(b"0\0") {
            return Ok(Self::Ok(content.to_vec()));
        }
        let fields = bytes
            .strip_prefix(b"2\0")
            .and_then(|rest| rest.strip_suffix(b"\0"));
        let fields = fields.ok_or(BadReply::Malformed)?;
        let mut fields = fields
            .split(|b| *b == 0)
            .map(|f| String::from_utf8_lossy(f).into_owned());
        let (Some(kind), Some(_traceback), Some(format)) =
            (fields.next(), fields.next(), fields.next())
        else {
            return Err(BadReply::Malformed);
        };
        let message = fill(format, fields.collect());
        Ok(Self::Exception(Exception { kind, message }))
    }
}

fn fill(format: String, fields: Vec<String>) -> String {
    if fields.is_empty() {
        return format;
    }
    let mut fields = fields.into_iter();
    let mut parts = format.split('%');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.chars().next() {
            Some('s' | 'd' | 'r') => {
                text.push_str(&fields.next().unwrap_or_default());
                text.push_str(&part[1..]);
            }
            _ => {
                text.push('%');
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn content_may_be_empty_but_an_answer_may_not() {
        assert_eq!(Reply::decode(b"0\0"), Ok(Reply::Ok(vec![])));
        assert_eq!(Reply::decode(b""), Err(BadReply::Empty));
        assert_eq!(Reply::decode(b"3\0"), Err(BadReply::Malformed));
    }

    #[test]
    fn an_exception_with_fields_is_filled_in() {
        let bytes = b"2\0QubesVMNotFoundError\0\0No such domain: %s (%d)\0work\x00\x37\0";
        let Ok(Reply::Exception(exception)) = Reply::decode(bytes) else {
            panic!()
        };
        assert_eq!(exception.message, "No such domain: work (7)");
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_unchanged(kind in "[A-Za-z]{1,20}", message in "[^\0]{0,60}") {
            let reply = Reply::Exception(Exception { kind, message });
            prop_assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }

        #[test]
        fn no_bytes_make_the_decoder_fall_over(bytes: Vec<u8>) {
            let _ = Reply::decode(&bytes);
        }
    }
}
