// SPDX-License-Identifier: GPL-3.0-or-later
//! What the host and `box-agent` say to each other: one JSON document per line.
//!
//! The agent opens with a [`Message::Hello`]. The host sends [`Request`]s with numbers of its
//! own choice, many at a time if it likes; each gets exactly one [`Message::Done`] or
//! [`Message::Failed`] with the same number, in any order.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The name of the virtio-serial port.
pub const PORT: &str = "bulkhead.box";

/// The version of this protocol.
pub const VERSION: u32 = 1;

/// The most bytes of a file in one request or answer.
pub const CHUNK: usize = 96 * 1024;

/// One thing that the host wants.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Comes back in the answer.
    pub id: u64,
    /// What is wanted.
    pub ask: Ask,
}

/// What the host can ask for.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Run a program to its end.
    Run {
        /// Program and arguments.
        argv: Vec<String>,
        /// Variables added to the environment.
        env: Vec<(String, String)>,
        /// What it reads.
        stdin: Bytes,
        /// After this many milliseconds its whole process group is killed.
        timeout: u64,
    },
    /// Start a program and leave it running; both outputs go to a file.
    Spawn {
        /// Program and arguments.
        argv: Vec<String>,
        /// Variables added to the environment.
        env: Vec<(String, String)>,
        /// The file, which is appended to.
        log: String,
    },
    /// Send SIGKILL to the process group of a spawned program.
    Kill {
        /// Its process id.
        pid: i32,
    },
    /// Write a part of a file. The one at offset 0 creates the file or empties it.
    Put {
        /// Where.
        path: String,
        /// Permission bits.
        mode: u32,
        /// First byte.
        offset: u64,
        /// What.
        data: Bytes,
    },
    /// Read a part of a file, at most [`CHUNK`] bytes.
    Get {
        /// Which.
        path: String,
        /// First byte.
        offset: u64,
    },
    /// Answer as soon as a path exists.
    Await {
        /// The path.
        path: String,
        /// Give up after this many milliseconds.
        timeout: u64,
    },
}

/// What the agent says.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Message {
    /// The agent is there.
    Hello {
        /// [`VERSION`] of the agent.
        version: u32,
    },
    /// A request was carried out.
    Done {
        /// The request's number.
        id: u64,
        /// Its result.
        result: Answer,
    },
    /// A request could not be carried out.
    Failed {
        /// The request's number.
        id: u64,
        /// Why, in words.
        reason: String,
    },
}

/// The result of a request.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A program ended.
    Ended {
        /// Its exit code; 128 + number for a signal.
        code: i32,
        /// Whether its time was up.
        timed_out: bool,
        /// What it wrote.
        stdout: Bytes,
        /// What it complained.
        stderr: Bytes,
    },
    /// A program was started.
    Started {
        /// Its process id.
        pid: i32,
    },
    /// A part of a file; an empty one is its end.
    Data(Bytes),
    /// There is nothing to add.
    Nothing,
}

/// Bytes, in base64 (RFC 4648, section 4) where they travel as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, &byte| word << 8 | u32::from(byte));
        let word = word << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            if digit > chunk.len() {
                text.push('=');
            } else {
                let value = word >> (18 - 6 * digit) & 63;
                text.push(char::from(ALPHABET[value as usize]));
            }
        }
    }
    text
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.as_bytes().chunks(4) {
        let mut word = 0_u32;
        for &digit in chunk {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            word = word << 6 | u32::from(value);
        }
        let word = word << (6 * (4 - chunk.len()));
        bytes.extend_from_slice(&word.to_be_bytes()[1..chunk.len()]);
    }
    Some(bytes)
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = decode(&text).ok_or_else(|| serde::de::Error::custom("no base64"))?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_rfc_hold() {
        let encoded =
            ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|t| encode(t.as_bytes()));
        assert_eq!(
            encoded,
            [
                "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"
            ]
        );
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for text in ["Zg=", "Zg", "Z===", "Z m8", "====", "Zm9v\n"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn all_bytes_survive(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn a_request_looks_like_this() {
        let request = Request {
            id: 7,
            ask: Ask::Run {
                argv: vec!["xl".into(), "info".into()],
                env: vec![],
                stdin: Bytes::default(),
                timeout: 1000,
            },
        };
        insta::assert_snapshot!(
            serde_json::to_string(&request).unwrap(),
            @r#"{"id":7,"ask":{"run":{"argv":["xl","info"],"env":[],"stdin":"","timeout":1000}}}"#
        );
    }
}
