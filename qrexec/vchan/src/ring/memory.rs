// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory that two domains share: never a reference into it, only raw pointers and
//! atomics, and every access within bounds that were fixed when it was mapped.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, Ordering, fence};

use super::layout::{
    self, CLIENT_LIVE, CLIENT_NOTIFY, GRANTS, Index, LEFT_ORDER, Orders, PAGE, RIGHT_ORDER,
    SERVER_LIVE, SERVER_NOTIFY, Side, Which,
};
use crate::mapping::Region;

/// What the ring's algorithm needs of the memory under it.
pub(crate) trait RingMemory {
    /// Reads an index; what the peer wrote before publishing it is visible afterwards.
    fn load(&self, ring: Which, index: Index) -> u32;
    /// Publishes an index after everything before it.
    fn store(&self, ring: Which, index: Index, value: u32);
    /// Posts a request for a wake-up on behalf of `side`.
    fn ask(&self, side: Side, bit: u8);
    /// Takes back a request that `side` posted; whether there was one.
    fn take_request(&self, side: Side, bit: u8) -> bool;
    /// The live byte of `side`.
    fn live(&self, side: Side) -> u8;
    /// Sets the live byte of `side`.
    fn set_live(&self, side: Side, value: u8);
    /// A full barrier.
    fn fence(&self);
    /// Copies bytes out of a ring. `at + bytes.len()` is at most the ring's size.
    fn copy_out(&self, ring: Which, at: usize, bytes: &mut [u8]);
    /// Copies bytes into a ring. `at + bytes.len()` is at most the ring's size.
    fn copy_in(&self, ring: Which, at: usize, bytes: &[u8]);
}

/// A channel's memory as this process sees it.
#[derive(Debug)]
pub(crate) struct SharedRing {
    control: NonNull<u8>,
    left: NonNull<u8>,
    right: NonNull<u8>,
    orders: Orders,
    /// The rings can be reached.
    open: bool,
    /// What the pointers point into, unmapped in this order: the control page is the last, since its
    /// unmapping tells the peer of the end.
    regions: Vec<Region>,
}

// SAFETY: the pointers lead into mappings this value owns, which belong to the process
// and not to a thread.
unsafe impl Send for SharedRing {}

impl SharedRing {
    /// Takes regions holding the control page, then each ring with pages of its own.
    ///
    /// `None` when a region is smaller than what lies in it.
    pub fn new(
        control: Region,
        left: Option<Region>,
        right: Option<Region>,
        orders: Orders,
    ) -> Option<Self> {
        let place = |ring: Which, own: &Option<Region>| match (own, orders.offset_in_page(ring)) {
            (None, Some(offset)) => {
                // SAFETY: an in-page ring starts at 1024 or 2048 and is as long as its
                // offset, so it ends within the control page, whose size is checked below.
                Some(unsafe { control.start().add(offset) })
            }
            (Some(region), None) if region.len() >= orders.size(ring) => Some(region.start()),
            _ => None,
        };
        if control.len() < PAGE {
            return None;
        }
        let (left_at, right_at) = (place(Which::Left, &left)?, place(Which::Right, &right)?);
        Some(Self {
            control: control.start(),
            left: left_at,
            right: right_at,
            orders,
            open: true,
            regions: [left, right, Some(control)].into_iter().flatten().collect(),
        })
    }

    /// Takes one region in which both rings' own pages follow the control page.
    pub fn contiguous(region: Region, orders: Orders) -> Option<Self> {
        if region.len() < Self::contiguous_len(orders) {
            return None;
        }
        let control = region.start();
        let place = |ring: Which, pages_before: usize| {
            let offset = orders
                .offset_in_page(ring)
                .unwrap_or(PAGE * (1 + pages_before));
            // SAFETY: an in-page ring ends within the control page; the others lie
            // within the length checked above.
            unsafe { control.add(offset) }
        };
        Some(Self {
            control,
            left: place(Which::Left, 0),
            right: place(Which::Right, orders.pages(Which::Left)),
            orders,
            open: true,
            regions: vec![region],
        })
    }

    /// The length that [`Self::contiguous`] needs.
    pub fn contiguous_len(orders: Orders) -> usize {
        PAGE * (1 + orders.pages(Which::Left) + orders.pages(Which::Right))
    }

    /// Unmaps the rings that have pages of their own. No ring can be reached from then on.
    pub fn let_go_of_rings(&mut self) {
        self.open = false;
        let rings = self.regions.len().saturating_sub(1);
        self.regions.drain(..rings);
    }

    /// The sizes of the left and the right ring.
    pub fn sizes(&self) -> (u32, u32) {
        (
            1 << self.orders.order(Which::Left),
            1 << self.orders.order(Which::Right),
        )
    }

    /// Writes the orders for the client to find.
    pub fn publish_orders(&self) {
        for (offset, ring) in [(LEFT_ORDER, Which::Left), (RIGHT_ORDER, Which::Right)] {
            // SAFETY: the offset is even and within the control page, which is mapped as
            // long as `self` lives.
            let field = unsafe { AtomicU16::from_ptr(self.control.add(offset).as_ptr().cast()) };
            field.store(self.orders.order(ring), Ordering::Release);
        }
    }

    /// Writes the references of the rings' pages for the client to find.
    pub fn publish_grants(&self, references: &[u32]) {
        for (i, reference) in references.iter().enumerate().take((PAGE - GRANTS) / 4) {
            self.word(GRANTS + 4 * i)
                .store(*reference, Ordering::Release);
        }
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        debug_assert!(offset.is_multiple_of(4) && offset + 4 <= PAGE);
        // SAFETY: callers pass multiples of 4 within the control page, which is mapped
        // and page-aligned as long as `self` lives.
        unsafe { AtomicU32::from_ptr(self.control.add(offset).as_ptr().cast()) }
    }

    fn byte(&self, offset: usize) -> &AtomicU8 {
        debug_assert!(offset < PAGE);
        // SAFETY: callers pass offsets within the control page, which is mapped as long
        // as `self` lives.
        unsafe { AtomicU8::from_ptr(self.control.add(offset).as_ptr()) }
    }

    /// Whose notify byte carries the requests of `side`: the one named after the other
    /// side, which acts on it.
    fn requests_of(&self, side: Side) -> &AtomicU8 {
        match side {
            Side::Server => self.byte(CLIENT_NOTIFY),
            Side::Client => self.byte(SERVER_NOTIFY),
        }
    }

    fn live_byte(&self, side: Side) -> &AtomicU8 {
        match side {
            Side::Server => self.byte(SERVER_LIVE),
            Side::Client => self.byte(CLIENT_LIVE),
        }
    }

    /// The address of `length` bytes at `at` in a ring.
    fn span(&self, ring: Which, at: usize, length: usize) -> *mut u8 {
        let start = match ring {
            Which::Left => self.left,
            Which::Right => self.right,
        };
        let end = at.checked_add(length);
        assert!(
            self.open && end.is_some_and(|end| end <= self.orders.size(ring)),
            "the ring's caller keeps to its size and to its time"
        );
        // SAFETY: `at` is within the ring and the ring is mapped, as just checked.
        unsafe { start.add(at).as_ptr() }
    }
}

impl RingMemory for SharedRing {
    fn load(&self, ring: Which, index: Index) -> u32 {
        self.word(layout::index_offset(ring, index))
            .load(Ordering::Acquire)
    }

    fn store(&self, ring: Which, index: Index, value: u32) {
        self.word(layout::index_offset(ring, index))
            .store(value, Ordering::Release);
    }

    fn ask(&self, side: Side, bit: u8) {
        self.requests_of(side).fetch_or(bit, Ordering::AcqRel);
    }

    fn take_request(&self, side: Side, bit: u8) -> bool {
        self.requests_of(side).fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    fn live(&self, side: Side) -> u8 {
        self.live_byte(side).load(Ordering::Acquire)
    }

    fn set_live(&self, side: Side, value: u8) {
        self.live_byte(side).store(value, Ordering::Release);
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn copy_out(&self, ring: Which, at: usize, bytes: &mut [u8]) {
        let from = self.span(ring, at, bytes.len());
        // SAFETY: `span` checked the bounds; `bytes` is private memory and cannot overlap.
        // The peer may change the ring meanwhile: then these bytes are garbage, as are all
        // bytes of a peer until they are parsed from the private copy made here.
        unsafe { std::ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), bytes.len()) };
    }

    fn copy_in(&self, ring: Which, at: usize, bytes: &[u8]) {
        let to = self.span(ring, at, bytes.len());
        // SAFETY: `span` checked the bounds; `bytes` is private memory and cannot overlap.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
    }
}

/// The orders a server offers in its control page, copied once and checked.
pub(crate) fn offered_orders(control: &Region) -> Option<Orders> {
    if control.len() < PAGE {
        return None;
    }
    let read = |offset: usize| {
        // SAFETY: both offsets are even and within the page whose length was checked.
        let field = unsafe { AtomicU16::from_ptr(control.start().add(offset).as_ptr().cast()) };
        field.load(Ordering::Acquire)
    };
    Orders::check(read(LEFT_ORDER), read(RIGHT_ORDER))
}

/// The page references a server offers, copied once.
pub(crate) fn offered_grants(control: &Region, orders: Orders) -> Vec<u32> {
    let count = orders.pages(Which::Left) + orders.pages(Which::Right);
    let fitting = (control.len().min(PAGE) - GRANTS) / 4;
    let read = |i: usize| {
        // SAFETY: `i` is below `fitting`, so the word lies within the page, and its offset
        // is a multiple of 4.
        let word =
            unsafe { AtomicU32::from_ptr(control.start().add(GRANTS + 4 * i).as_ptr().cast()) };
        word.load(Ordering::Acquire)
    };
    (0..count.min(fitting)).map(read).collect()
}

/// The live bytes of server and client as they are now.
pub(crate) fn live_bytes(control: &Region) -> Option<(u8, u8)> {
    if control.len() < PAGE {
        return None;
    }
    let read = |offset: usize| {
        // SAFETY: both offsets are within the page whose length was checked.
        let byte = unsafe { AtomicU8::from_ptr(control.start().add(offset).as_ptr()) };
        byte.load(Ordering::Acquire)
    };
    Some((read(SERVER_LIVE), read(CLIENT_LIVE)))
}
