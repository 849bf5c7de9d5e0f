// SPDX-License-Identifier: MIT OR Apache-2.0
//! Words in and out of bytes: everything is little endian and 32 bits wide.

/// Reads words one after another; a body whose length was checked never runs out.
pub(crate) struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next word; zero past the end, which the length check has excluded.
    pub(crate) fn u32(&mut self) -> u32 {
        match self.rest.split_first_chunk() {
            Some((word, rest)) => {
                self.rest = rest;
                u32::from_le_bytes(*word)
            }
            None => 0,
        }
    }

    pub(crate) fn i32(&mut self) -> i32 {
        self.u32() as i32
    }

    pub(crate) fn all(mut self) -> Vec<u32> {
        let mut words = Vec::with_capacity(self.rest.len() / 4);
        while !self.rest.is_empty() {
            words.push(self.u32());
        }
        words
    }

    /// The next `N` bytes as they are.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                *bytes
            }
            None => [0; N],
        }
    }
}

/// Words as one row of bytes.
pub(crate) fn join<const N: usize, const M: usize>(words: [[u8; 4]; N]) -> [u8; M] {
    let mut bytes = [0; M];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&word);
    }
    bytes
}

/// Appends words.
pub(crate) fn put(out: &mut Vec<u8>, words: &[u32]) {
    for word in words {
        out.extend_from_slice(&word.to_le_bytes());
    }
}
