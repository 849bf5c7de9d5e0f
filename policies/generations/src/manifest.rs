// SPDX-License-Identifier: GPL-3.0-or-later
//! What a generation says of itself.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

/// The files of a set by their path below it, such as `30-user.policy` or `include/x`.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Who made a generation, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The user, as the system calls them.
    pub author: String,
    /// When, in UTC, as RFC 3339.
    pub time: String,
    /// Why, in the author's words.
    pub message: String,
}

/// How a generation became the live one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// Its number.
    pub number: u64,
    /// `apply` when it was made, `rollback` when it was there before.
    pub what: String,
    /// The user, or the domain.
    pub by: String,
    /// When, in UTC, as RFC 3339.
    pub time: String,
    /// What was live before.
    #[serde(default)]
    pub previous: Option<u64>,
}

/// A generation's contents and origin. Its bytes are what is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Counts up from 1.
    pub number: u64,
    /// Who, when and why.
    #[serde(flatten)]
    pub about: About,
    /// The SHA-256 of the manifest of the generation that was live before.
    pub parent: Option<String>,
    /// Each file's path and SHA-256.
    pub files: BTreeMap<String, String>,
}

/// A signature of a manifest's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The public key, as 64 hexadecimal digits.
    pub key: String,
    /// The signature, as 128 of them.
    pub signature: String,
}

impl Manifest {
    /// The manifest of a set.
    pub fn new(number: u64, about: About, parent: Option<String>, files: &Files) -> Self {
        let hashed = files
            .iter()
            .map(|(path, bytes)| (path.clone(), sha256_hex(bytes)));
        Self {
            number,
            about,
            parent,
            files: hashed.collect(),
        }
    }

    /// Its bytes: the same for the same manifest.
    pub fn to_bytes(&self) -> Vec<u8> {
        // It holds texts and numbers only.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }
}

/// The SHA-256 of some bytes as hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes_of<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let digits = hex.as_bytes();
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        // `from_str_radix` would take a sign.
        if !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}
