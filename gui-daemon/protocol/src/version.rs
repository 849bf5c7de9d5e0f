// SPDX-License-Identifier: MIT OR Apache-2.0
//! The handshake: versions and the daemon's screen.

use std::fmt;

use thiserror::Error;

/// A version of the protocol; on the wire `major << 16 | minor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Peers of different majors cannot talk.
    pub major: u16,
    /// Peers use the lower of their minors.
    pub minor: u16,
}

/// The peer's version cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the peer speaks version {theirs} of the GUI protocol; this side speaks {ours}", ours = Version::OURS)]
pub struct VersionMismatch {
    /// What the peer announced.
    pub theirs: Version,
}

impl Version {
    /// The newest version, which this crate speaks.
    pub const OURS: Self = Self { major: 1, minor: 8 };
    /// Since this version the daemon answers with the negotiated version.
    pub const REPLY: Self = Self { major: 1, minor: 4 };
    /// Since this version the daemon answers DESTROY with DESTROY.
    pub const DESTROY_ACK: Self = Self { major: 1, minor: 5 };
    /// Since this version a wrong length ends the session.
    pub const STRICT_LENGTH: Self = Self { major: 1, minor: 6 };
    /// Since this version the daemon answers WINDOW_DUMP with WINDOW_DUMP_ACK.
    pub const DUMP_ACK: Self = Self { major: 1, minor: 7 };
    /// Since this version the clipboard holds up to 256000 bytes.
    pub const LARGE_CLIPBOARD: Self = Self { major: 1, minor: 8 };

    /// Reads a version from its word.
    pub fn from_word(word: u32) -> Self {
        Self {
            major: (word >> 16) as u16,
            minor: word as u16,
        }
    }

    /// The version as the word on the wire.
    pub fn to_word(self) -> u32 {
        u32::from(self.major) << 16 | u32::from(self.minor)
    }

    /// What daemon and agent speak when the agent announced `theirs`.
    pub fn negotiate(theirs: Self) -> Result<Self, VersionMismatch> {
        if theirs.major != Self::OURS.major {
            return Err(VersionMismatch { theirs });
        }
        Ok(theirs.min(Self::OURS))
    }

    /// Checks, in an agent, the version that a daemon chose.
    pub fn accept_reply(reply: Self) -> Result<Self, VersionMismatch> {
        if (Self::REPLY..=Self::OURS).contains(&reply) {
            Ok(reply)
        } else {
            Err(VersionMismatch { theirs: reply })
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The daemon's screen, as it tells the agent at the end of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// Width in pixels, rounded up to a multiple of eight.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bits per pixel of the root window: 24 in practice.
    pub depth: u32,
    /// Memory the screen takes, in KiB.
    pub memory: u32,
}

impl Screen {
    /// Bytes of a screen on the wire.
    pub const SIZE: usize = 16;

    /// Describes a root window of this size.
    pub fn new(width: u16, height: u16, depth: u8) -> Self {
        let width = u32::from(width).next_multiple_of(8);
        let height = u32::from(height);
        Self {
            width,
            height,
            depth: u32::from(depth),
            memory: width * height * 4 / 1024 + 1,
        }
    }

    /// The screen as it stands on the wire.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        crate::wire::join([self.width, self.height, self.depth, self.memory].map(u32::to_le_bytes))
    }

    pub(crate) fn from_words([width, height, depth, memory]: [u32; 4]) -> Self {
        Self {
            width,
            height,
            depth,
            memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(major: u16, minor: u16) -> Version {
        Version { major, minor }
    }

    #[test]
    fn the_lower_minor_of_the_same_major_is_spoken() {
        assert_eq!(Version::negotiate(v(1, 9)), Ok(v(1, 8)));
        assert_eq!(Version::negotiate(v(1, 3)), Ok(v(1, 3)));
        assert!(Version::negotiate(v(2, 0)).is_err());
        assert!(Version::negotiate(v(0, 9)).is_err());
        assert_eq!(v(1, 8).to_word(), 0x0001_0008);
        assert_eq!(Version::from_word(0x0001_0008), v(1, 8));
    }

    #[test]
    fn an_agent_takes_no_reply_above_its_own_version() {
        assert!(Version::accept_reply(v(1, 9)).is_err());
        assert!(Version::accept_reply(v(1, 3)).is_err());
        assert!(Version::accept_reply(v(2, 4)).is_err());
        assert_eq!(Version::accept_reply(v(1, 4)), Ok(v(1, 4)));
    }

    #[test]
    fn a_screen_is_rounded_up_to_eight_pixels() {
        let screen = Screen::new(1366, 768, 24);
        assert_eq!(
            (screen.width, screen.memory),
            (1368, 1368 * 768 * 4 / 1024 + 1)
        );
    }
}
