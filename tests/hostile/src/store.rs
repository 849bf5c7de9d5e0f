// SPDX-License-Identifier: GPL-3.0-or-later
//! Xenstore's messages, which a client reads from xenstored and a fake one from its clients.

use bulkhead_xen::store::wire::Decoder;

use crate::pieces;

/// What is read can be written again, and is then the same.
pub fn wire(data: &[u8]) {
    let mut decoder = Decoder::default();
    for piece in pieces(data) {
        decoder.feed(piece);
        loop {
            match decoder.next_message() {
                Ok(Some(message)) => {
                    let _ = message.texts();
                    let mut again = Decoder::default();
                    again.feed(&message.encode().unwrap());
                    let again = again.next_message().unwrap().unwrap();
                    assert_eq!(again.payload, message.payload);
                    assert_eq!(again.kind, message.kind);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}
