// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON in ASCII: some agents read nothing else.

use serde::Serialize;

/// The value as JSON in which every other character is written `\uXXXX`.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    // Maps with text as keys, lists and texts: there is nothing in them that JSON cannot hold.
    let text = serde_json::to_string(value).expect("a request is made of texts");
    let mut ascii = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            ascii.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            ascii.push_str(&format!("\\u{unit:04x}"));
        }
    }
    ascii.into_bytes()
}
