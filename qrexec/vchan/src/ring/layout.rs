// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where everything lies in the shared page (`xen/include/public/io/libxenvchan.h`).

use crate::RingSizes;

/// The size of a page, and of the smallest ring outside the control page.
pub(crate) const PAGE: usize = 4096;
/// The largest ring: 1 MiB, since more grants would not fit into the control page.
pub const RING_MAX: usize = 1 << ORDER_MAX;

const PAGE_ORDER: u16 = 12;
const ORDER_MAX: u16 = 20;
const SMALL_ORDER: u16 = 10;
const LARGE_ORDER: u16 = 11;
/// Rings from here on carry streams.
const BULK_ORDER: u16 = 16;

/// `left_order`, u16.
pub(crate) const LEFT_ORDER: usize = 16;
/// `right_order`, u16.
pub(crate) const RIGHT_ORDER: usize = 18;
/// `cli_live`, u8.
pub(crate) const CLIENT_LIVE: usize = 20;
/// `srv_live`, u8.
pub(crate) const SERVER_LIVE: usize = 21;
/// `cli_notify`, u8.
pub(crate) const CLIENT_NOTIFY: usize = 22;
/// `srv_notify`, u8.
pub(crate) const SERVER_NOTIFY: usize = 23;
/// `grants`, u32 each: left's pages, then right's.
pub(crate) const GRANTS: usize = 24;

/// The two ends of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Owns the shared memory and announces the channel.
    Server,
    /// Maps the server's memory.
    Client,
}

/// The two rings of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The client writes, the server reads.
    Left,
    /// The server writes, the client reads.
    Right,
}

/// The two free-running indices of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    /// Bytes taken out so far, modulo 2³²; the reader writes it.
    Consumer,
    /// Bytes put in so far, modulo 2³²; the writer writes it.
    Producer,
}

/// Where an index lies in the control page.
pub(crate) const fn index_offset(ring: Which, index: Index) -> usize {
    match (ring, index) {
        (Which::Left, Index::Consumer) => 0,
        (Which::Left, Index::Producer) => 4,
        (Which::Right, Index::Consumer) => 8,
        (Which::Right, Index::Producer) => 12,
    }
}

/// The sizes of both rings as powers of two, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Orders {
    left: u16,
    right: u16,
}

impl Orders {
    /// The orders libxenvchan's server picks for the sizes asked; `None` beyond [`RING_MAX`].
    pub fn for_sizes(sizes: RingSizes) -> Option<Self> {
        let (left, right) = (sizes.receive, sizes.send);
        if left > RING_MAX || right > RING_MAX {
            return None;
        }
        let small = 1 << SMALL_ORDER;
        let large = 1 << LARGE_ORDER;
        let (left, right) = if left <= small && right <= large {
            (SMALL_ORDER, LARGE_ORDER)
        } else if left <= large && right <= small {
            (LARGE_ORDER, SMALL_ORDER)
        } else if left <= large {
            (LARGE_ORDER, own_pages(right))
        } else if right <= large {
            (own_pages(left), LARGE_ORDER)
        } else {
            (own_pages(left), own_pages(right))
        };
        Some(Self { left, right })
    }

    /// Four times as much for rings of many pages, where memory costs nothing until it is touched: while one
    /// side empties a part of the ring, the other fills the next.
    pub fn roomy(self) -> Self {
        let wider = |order: u16| {
            if order < BULK_ORDER {
                order
            } else {
                (order + 2).min(ORDER_MAX)
            }
        };
        Self {
            left: wider(self.left),
            right: wider(self.right),
        }
    }

    /// Checks orders that a server wrote; `None` for what no server may offer.
    pub fn check(left: u16, right: u16) -> Option<Self> {
        let allowed = SMALL_ORDER..=ORDER_MAX;
        let overlapping = left == right && left < PAGE_ORDER;
        (allowed.contains(&left) && allowed.contains(&right) && !overlapping)
            .then_some(Self { left, right })
    }

    /// The order of one ring.
    pub fn order(self, ring: Which) -> u16 {
        match ring {
            Which::Left => self.left,
            Which::Right => self.right,
        }
    }

    /// The size of one ring in bytes.
    pub fn size(self, ring: Which) -> usize {
        1 << self.order(ring)
    }

    /// How many pages of its own a ring has; 0 when it lies in the control page.
    pub fn pages(self, ring: Which) -> usize {
        self.size(ring) / PAGE
    }

    /// Where a ring lies in the control page, if it does: its size is its offset.
    pub fn offset_in_page(self, ring: Which) -> Option<usize> {
        (self.pages(ring) == 0).then(|| self.size(ring))
    }
}

/// The smallest order of at least a page that holds `size` bytes.
fn own_pages(size: usize) -> u16 {
    (PAGE_ORDER..ORDER_MAX)
        .find(|order| size <= 1 << order)
        .unwrap_or(ORDER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(receive: usize, send: usize) -> Option<(u16, u16)> {
        Orders::for_sizes(RingSizes { receive, send }).map(|o| (o.left, o.right))
    }

    #[test]
    fn a_server_picks_the_orders_libxenvchan_picks() {
        assert_eq!(orders(4096, 4096), Some((12, 12)));
        assert_eq!(orders(65536, 65536), Some((16, 16)));
        assert_eq!(orders(0, 0), Some((10, 11)));
        assert_eq!(orders(1024, 2048), Some((10, 11)));
        assert_eq!(orders(2048, 1024), Some((11, 10)));
        assert_eq!(orders(2048, 2048), Some((11, 12)));
        assert_eq!(orders(8192, 100), Some((13, 11)));
        assert_eq!(orders(4097, RING_MAX), Some((13, 20)));
        assert_eq!(orders(RING_MAX + 1, 1), None);
    }

    #[test]
    fn a_client_takes_only_orders_that_cannot_overlap() {
        for (left, right) in [(10, 11), (11, 10), (12, 12), (20, 20), (10, 20), (20, 11)] {
            assert!(Orders::check(left, right).is_some(), "{left} {right}");
        }
        for (left, right) in [
            (9, 12),
            (12, 21),
            (10, 10),
            (11, 11),
            (0, 0),
            (u16::MAX, 12),
        ] {
            assert!(Orders::check(left, right).is_none(), "{left} {right}");
        }
    }

    #[test]
    fn the_grants_of_two_largest_rings_stay_below_the_large_ring_in_the_page() {
        let most = Orders::check(20, 20).unwrap();
        let grants = most.pages(Which::Left) + most.pages(Which::Right);
        assert!(GRANTS + 4 * grants <= PAGE);
        let with_large = Orders::for_sizes(RingSizes {
            receive: RING_MAX,
            send: 1,
        })
        .unwrap();
        let end = GRANTS + 4 * with_large.pages(Which::Left);
        assert!(end <= with_large.offset_in_page(Which::Right).unwrap());
    }
}
