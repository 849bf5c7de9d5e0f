// SPDX-License-Identifier: MIT OR Apache-2.0
//! Protocol versions and how two peers agree on one.
//!
//! Each side sends one `HELLO` with the highest version that it speaks; the smaller number of
//! the two holds. Versions in the field are 2, 3 and 4. A daemon answers an agent with the
//! agreed number, never with one above its own.
//!
//! Programs of version 2 know no smaller number of two: they take their own and nothing else. Whoever
//! wants to talk with them has to offer 2, and where they speak second, to know that before.

use std::fmt;

use thiserror::Error;

/// A version that this implementation speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// Fixed-size triggers, data messages of 4 KiB.
    V2 = 2,
    /// Long service names, data messages of 64 KiB.
    V3 = 3,
    /// Triggers that name their source.
    V4 = 4,
}

/// The peer is too old to talk with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the peer speaks version {peer} of the protocol, this side {}", range(*.least, *.own))]
pub struct TooOld {
    /// The version that the peer offered.
    pub peer: u32,
    /// The oldest version that would do.
    pub least: Version,
    /// The newest that this side speaks.
    pub own: Version,
}

fn range(least: Version, own: Version) -> String {
    if least == own {
        own.to_string()
    } else {
        format!("{least} to {own}")
    }
}

impl Version {
    /// The version offered on every vchan.
    pub const OWN: Self = Self::V4;
    /// The version offered on the daemon's socket in dom0, by both sides.
    pub const SOCKET: Self = Self::V3;

    /// The version with this number, as a person writes it.
    pub fn named(number: &str) -> Option<Self> {
        [Self::V2, Self::V3, Self::V4]
            .into_iter()
            .find(|version| version.to_string() == number)
    }

    /// The number on the wire.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The version that holds between one that offers `own` and one that offers `peer`.
    ///
    /// A peer newer than us is taken at our version; one older than `least` is refused.
    pub fn agree(own: Self, least: Self, peer: u32) -> Result<Self, TooOld> {
        let known = match peer {
            0 | 1 => None,
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            _ => Some(Self::V4),
        };
        match known {
            Some(version) if version >= least => Ok(version.min(own)),
            _ => Err(TooOld { peer, least, own }),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_two_offers_holds() {
        let vchan = |peer| Version::agree(Version::OWN, Version::V2, peer);
        assert_eq!(vchan(2), Ok(Version::V2));
        assert_eq!(vchan(3), Ok(Version::V3));
        assert_eq!(vchan(4), Ok(Version::V4));
        assert_eq!(vchan(u32::MAX), Ok(Version::V4));
        assert_eq!(
            vchan(1),
            Err(TooOld {
                peer: 1,
                least: Version::V2,
                own: Version::V4
            })
        );
        let socket = |peer| Version::agree(Version::SOCKET, Version::V3, peer);
        assert_eq!(socket(4), Ok(Version::V3));
        assert_eq!(
            socket(2).unwrap_err().to_string(),
            "the peer speaks version 2 of the protocol, this side 3"
        );
        assert_eq!(
            vchan(0).unwrap_err().to_string(),
            "the peer speaks version 0 of the protocol, this side 2 to 4"
        );
    }
}
