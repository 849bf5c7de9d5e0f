// SPDX-License-Identifier: GPL-3.0-or-later
//! The chain: how a record's line is tied to all before it.

use std::fmt;

use ring::digest::{Context, SHA256, digest};

/// What a line ends with after its content: key, 64 digits, and the closing of the object.
const KEY: &[u8] = b",\"chain\":\"";
const CLOSE: &[u8] = b"\"}";
const DIGITS: usize = 64;
/// How many bytes of a line belong to the chain.
const TAIL: usize = KEY.len() + DIGITS + CLOSE.len();

/// A chain value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What stands before the first record.
    pub fn genesis() -> Self {
        let mut value = [0; 32];
        value.copy_from_slice(digest(&SHA256, b"bulkhead ledger 1").as_ref());
        Self(value)
    }

    /// The value after a record with this content.
    pub(crate) fn after(self, content: &[u8]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(content);
        let mut value = [0; 32];
        value.copy_from_slice(context.finish().as_ref());
        Self(value)
    }

    /// Reads 64 digits; capitals are none.
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        bytes_of(text).map(Self)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Makes the content of a record, an object without its last brace, a whole line.
pub(crate) fn close_line(line: &mut Vec<u8>, from: usize, before: Hash) -> Hash {
    let chain = before.after(&line[from..]);
    line.extend_from_slice(KEY);
    push_hex(line, &chain.0);
    line.extend_from_slice(CLOSE);
    line.push(b'\n');
    chain
}

/// The content of a line and the chain value it claims.
pub(crate) fn open_line(line: &[u8]) -> Option<(&[u8], Hash)> {
    let at = line.len().checked_sub(TAIL)?;
    let (content, tail) = line.split_at(at);
    let digits = tail.strip_prefix(KEY)?.strip_suffix(CLOSE)?;
    Some((content, Hash::from_hex(digits)?))
}

const LETTERS: &[u8; 16] = b"0123456789abcdef";

fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        text.push(LETTERS[usize::from(byte >> 4)]);
        text.push(LETTERS[usize::from(byte & 15)]);
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads exactly `N` bytes from hexadecimal digits in lower case.
pub(crate) fn bytes_of<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| LETTERS.iter().position(|letter| *letter == byte);
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = u8::try_from(16 * digit(pair[0])? + digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_opens_to_what_it_was_closed_from() {
        let mut line = b"{\"sequence\":1".to_vec();
        let chain = close_line(&mut line, 0, Hash::genesis());
        let (content, claimed) = open_line(&line[..line.len() - 1]).unwrap();
        assert_eq!((content, claimed), (&b"{\"sequence\":1"[..], chain));
        assert_eq!(Hash::genesis().after(content), chain);
        assert!(serde_json::from_slice::<serde_json::Value>(&line).is_ok());
    }

    #[test]
    fn a_value_has_one_spelling() {
        let text = hex(Hash::genesis().as_bytes());
        assert_eq!(Hash::from_hex(text.as_bytes()), Some(Hash::genesis()));
        assert_eq!(Hash::from_hex(text.to_uppercase().as_bytes()), None);
        assert_eq!(Hash::from_hex(&text.as_bytes()[1..]), None);
    }
}
