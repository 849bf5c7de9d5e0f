// SPDX-License-Identifier: MIT OR Apache-2.0
//! What gntdev and gntalloc have in common.

use bulkhead_types::DomId;

use crate::evtchn::EventPort;
use crate::ioctl::{UNMAP_NOTIFY_CLEAR_BYTE, UNMAP_NOTIFY_SEND_EVENT, UnmapNotify};

/// What the kernel does when a page goes away, even if its owner died: how the other domain
/// learns of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnUnmap {
    /// The byte of the first page that becomes 0.
    pub clear: usize,
    /// The event channel that is woken. It stays bound until then.
    pub wake: EventPort,
}

impl OnUnmap {
    pub(crate) fn request(self, index: u64) -> UnmapNotify {
        UnmapNotify {
            index: index + self.clear as u64,
            action: UNMAP_NOTIFY_CLEAR_BYTE | UNMAP_NOTIFY_SEND_EVENT,
            event_channel_port: self.wake.0,
        }
    }
}

/// Packs the head of a request and its list into words the kernel can read.
pub(crate) fn packed(words: impl IntoIterator<Item = u32>) -> Vec<u64> {
    let mut halves = words.into_iter();
    let mut packed = Vec::new();
    while let Some(low) = halves.next() {
        let (low, high) = (low.to_ne_bytes(), halves.next().unwrap_or(0).to_ne_bytes());
        packed.push(u64::from_ne_bytes([
            low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3],
        ]));
    }
    packed
}

/// The halves of a word, in the order of memory.
pub(crate) fn halves(word: u64) -> [u32; 2] {
    let b = word.to_ne_bytes();
    [
        u32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
        u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
    ]
}

pub(crate) fn domid(domain: DomId) -> u32 {
    domain.into()
}
