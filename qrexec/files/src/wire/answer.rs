// SPDX-License-Identifier: GPL-3.0-or-later
//! What the receiver says at the end, or as soon as something is wrong.

use nix::errno::Errno;
use thiserror::Error;

/// The error code for "the sender ended early; what it says about it is right".
const ENDED_EARLY: u32 = 31_415_926;
/// Bytes of the fixed part: error code (u32), zero (u32), checksum (u64).
const FIXED_LENGTH: usize = 16;
/// The longest name behind the fixed part, in bytes.
pub const LAST_NAME_MAX: usize = 16384;

/// How the copy went, for the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is there; whether it is intact, the checksum tells.
    Complete,
    /// The sender stopped between two entries.
    EndedEarly,
    /// The receiver could not or would not go on.
    Failed(Errno),
}

/// The receiver's answer. At the sender's end all of it is a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How it went.
    pub outcome: Outcome,
    /// The checksum of all that was read.
    pub checksum: u64,
    /// The name of the last entry that was looked at; raw bytes.
    pub last_name: Option<Vec<u8>>,
}

/// Bytes that are not an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadAnswer {
    /// The stream ended before the answer did.
    #[error("the answer has {0} bytes; it needs {FIXED_LENGTH} at least")]
    Short(usize),
    /// The name is longer than it may be or ends early.
    #[error("the name in the answer does not fit its length")]
    Name,
}

impl Answer {
    /// Bytes that are enough for any answer.
    pub const LENGTH_MAX: usize = FIXED_LENGTH + 4 + LAST_NAME_MAX;

    /// Writes an answer. A name that is too long is left out.
    pub fn encode(&self) -> Vec<u8> {
        let code = match self.outcome {
            Outcome::Complete => 0,
            Outcome::EndedEarly => ENDED_EARLY,
            // Its number is 0, which would read as success.
            Outcome::Failed(Errno::UnknownErrno) => Errno::EIO as u32,
            Outcome::Failed(errno) => errno as u32,
        };
        let mut bytes = Vec::with_capacity(FIXED_LENGTH);
        bytes.extend_from_slice(&code.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.checksum.to_le_bytes());
        if let Some(name) = self.last_name.as_ref().filter(|n| n.len() <= LAST_NAME_MAX) {
            // The length fits: LAST_NAME_MAX is far below what a u32 holds.
            bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
            bytes.extend_from_slice(name);
        }
        bytes
    }

    /// Reads an answer from all that came until the end of the stream.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadAnswer> {
        let (fixed, rest) = bytes
            .split_at_checked(FIXED_LENGTH)
            .ok_or(BadAnswer::Short(bytes.len()))?;
        let code = u32::from_le_bytes([fixed[0], fixed[1], fixed[2], fixed[3]]);
        let mut checksum = [0; 8];
        checksum.copy_from_slice(&fixed[8..]);
        let last_name = match rest.split_at_checked(4) {
            None => None,
            Some((length, name)) => {
                let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
                let length = usize::try_from(length).map_err(|_| BadAnswer::Name)?;
                let fits = length <= LAST_NAME_MAX && length <= name.len();
                Some(
                    fits.then(|| name[..length].to_vec())
                        .ok_or(BadAnswer::Name)?,
                )
            }
        };
        Ok(Self {
            outcome: match code {
                0 => Outcome::Complete,
                ENDED_EARLY => Outcome::EndedEarly,
                other => Outcome::Failed(
                    i32::try_from(other).map_or(Errno::UnknownErrno, Errno::from_raw),
                ),
            },
            checksum: u64::from_le_bytes(checksum),
            last_name,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_lies_on_the_wire_as_the_specification_says() {
        let answer = Answer {
            outcome: Outcome::Failed(Errno::EEXIST),
            checksum: 0xcbf4_3926,
            last_name: Some(b"a".to_vec()),
        };
        let bytes = answer.encode();
        assert_eq!(
            bytes,
            b"\x11\0\0\0\0\0\0\0\x26\x39\xf4\xcb\0\0\0\0\x01\0\0\0a"
        );
        assert_eq!(Answer::decode(&bytes), Ok(answer));
        assert_eq!(Answer::decode(&bytes[..15]), Err(BadAnswer::Short(15)));
        assert_eq!(Answer::decode(&bytes[..20]), Err(BadAnswer::Name));
    }

    #[test]
    fn an_error_never_reads_as_success() {
        let unknown = Answer {
            outcome: Outcome::Failed(Errno::UnknownErrno),
            checksum: 0,
            last_name: None,
        };
        let read = Answer::decode(&unknown.encode()).unwrap();
        assert_eq!(read.outcome, Outcome::Failed(Errno::EIO));
        for code in [41, 9999, u32::MAX] {
            let mut bytes = unknown.encode();
            bytes[..4].copy_from_slice(&code.to_le_bytes());
            let read = Answer::decode(&bytes).unwrap();
            assert_eq!(read.outcome, Outcome::Failed(Errno::UnknownErrno));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(answer) = Answer::decode(&bytes) {
                let _ = answer.encode();
            }
        }

        #[test]
        fn any_answer_comes_back(code in 1..=40i32, checksum: u64,
            name in prop::option::of(prop::collection::vec(any::<u8>(), 0..40))) {
            let outcome = Outcome::Failed(Errno::from_raw(code));
            let answer = Answer { outcome, checksum, last_name: name };
            prop_assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
        }
    }
}
