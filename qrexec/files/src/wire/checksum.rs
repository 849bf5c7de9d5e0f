// SPDX-License-Identifier: GPL-3.0-or-later
//! The CRC-32 over all that a copy carries.

use crc32fast::Hasher;

/// A CRC-32 that grows with each piece. It finds accidents, not attacks.
#[derive(Clone, Debug, Default)]
pub struct Checksum(Hasher);

impl Checksum {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The value for all bytes so far.
    pub fn value(&self) -> u32 {
        self.0.clone().finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_crc_32() {
        let mut checksum = Checksum::default();
        assert_eq!(checksum.value(), 0);
        checksum.update(b"1234");
        checksum.update(b"56789");
        assert_eq!(checksum.value(), 0xcbf4_3926);
    }
}
