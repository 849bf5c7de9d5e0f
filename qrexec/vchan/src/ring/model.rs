// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ring under loom: every order in which a weak memory may show one side's writes to
//! the other, and every interleaving, with ends that go to sleep when told "nothing now".
//!
//! Loom reports a lost wake-up as a deadlock and a byte seen too early as a wrong byte. The
//! rings are one and two bytes here: enough to be empty, full and to wrap around. The short
//! stories are tried in all executions, the longer ones in all with at most
//! [`PREEMPTIONS`] preemptions, which is where loom's authors found all faults to show.
//!
//! Runs in the ordinary `cargo test -p bulkhead-vchan`: the algorithm takes its memory as a
//! parameter, so no special build of the crate is needed.

use loom::sync::atomic::{AtomicU8, AtomicU32, Ordering, fence};
use loom::sync::{Arc, Notify};
use loom::thread;

use super::{End, Index, Peer, RingMemory, Side, Wake, Which};

/// Two bytes of each ring at most.
const CELLS: usize = 2;

/// How often a thread may be interrupted where it could have gone on.
const PREEMPTIONS: usize = 3;

fn bounded(story: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(PREEMPTIONS);
    model.check(story);
}

struct Page {
    /// left.cons, left.prod, right.cons, right.prod.
    indices: [AtomicU32; 4],
    live: [AtomicU8; 2],
    requests: [AtomicU8; 2],
    left: [AtomicU8; CELLS],
    right: [AtomicU8; CELLS],
}

fn bytes() -> [AtomicU8; 2] {
    [AtomicU8::new(0), AtomicU8::new(0)]
}

impl Page {
    fn new() -> Arc<Self> {
        let index = || AtomicU32::new(0);
        Arc::new(Self {
            indices: [index(), index(), index(), index()],
            live: bytes(),
            requests: bytes(),
            left: bytes(),
            right: bytes(),
        })
    }

    fn cells(&self, ring: Which) -> &[AtomicU8] {
        match ring {
            Which::Left => &self.left,
            Which::Right => &self.right,
        }
    }
}

fn side(side: Side) -> usize {
    (side == Side::Client) as usize
}

impl RingMemory for Arc<Page> {
    fn load(&self, ring: Which, index: Index) -> u32 {
        self.indices[super::layout::index_offset(ring, index) / 4].load(Ordering::Acquire)
    }
    fn store(&self, ring: Which, index: Index, value: u32) {
        self.indices[super::layout::index_offset(ring, index) / 4].store(value, Ordering::Release);
    }
    fn ask(&self, by: Side, bit: u8) {
        self.requests[side(by)].fetch_or(bit, Ordering::AcqRel);
    }
    fn take_request(&self, by: Side, bit: u8) -> bool {
        self.requests[side(by)].fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }
    fn live(&self, of: Side) -> u8 {
        self.live[side(of)].load(Ordering::Acquire)
    }
    fn set_live(&self, of: Side, value: u8) {
        self.live[side(of)].store(value, Ordering::Release);
    }
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
    fn copy_out(&self, ring: Which, at: usize, bytes: &mut [u8]) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = self.cells(ring)[at + i].load(Ordering::Relaxed);
        }
    }
    fn copy_in(&self, ring: Which, at: usize, bytes: &[u8]) {
        for (i, byte) in bytes.iter().enumerate() {
            self.cells(ring)[at + i].store(*byte, Ordering::Relaxed);
        }
    }
}

/// One event channel per direction; a pending event is kept until it is waited for.
#[derive(Clone)]
struct Bell(Arc<Notify>);

impl Bell {
    fn new() -> Self {
        Self(Arc::new(Notify::new()))
    }
    fn ring(&self, wake: Wake) {
        if wake.0 {
            self.0.notify();
        }
    }
}

fn send(end: &mut End<Arc<Page>>, bytes: &[u8], own: &Bell, peer: &Bell) {
    let mut sent = 0;
    while sent < bytes.len() {
        let (count, wake) = end.write(&bytes[sent..]).unwrap();
        peer.ring(wake);
        sent += count;
        if count == 0 && end.want_space().unwrap() == 0 {
            own.0.wait();
        }
    }
}

fn receive(end: &mut End<Arc<Page>>, count: usize, own: &Bell, peer: &Bell) -> Vec<u8> {
    let mut got = Vec::new();
    while got.len() < count {
        let mut buffer = [0; CELLS];
        let (n, wake) = end.read(&mut buffer).unwrap();
        peer.ring(wake);
        got.extend(&buffer[..n]);
        if n == 0 && end.want_data().unwrap() == 0 {
            own.0.wait();
        }
    }
    got
}

fn one_way(size: u32, bytes: &'static [u8]) {
    bounded(move || {
        let page = Page::new();
        let (at_server, at_client) = (Bell::new(), Bell::new());
        let mut server = End::serve(page.clone(), (size, size));
        let mut client = End::join(page, (size, size));
        let bells = (at_server.clone(), at_client.clone());
        let reader = thread::spawn(move || receive(&mut server, bytes.len(), &bells.0, &bells.1));
        send(&mut client, bytes, &at_client, &at_server);
        assert_eq!(reader.join().unwrap(), bytes);
    });
}

#[test]
fn no_wake_up_is_lost_when_every_byte_fills_the_ring() {
    one_way(1, &[1, 2]);
}

#[test]
fn no_wake_up_is_lost_when_writer_and_reader_share_the_ring() {
    one_way(2, &[1, 2, 3]);
}

#[test]
fn a_question_and_its_answer_cross() {
    bounded(|| {
        let page = Page::new();
        let (at_server, at_client) = (Bell::new(), Bell::new());
        let mut server = End::serve(page.clone(), (1, 1));
        let mut client = End::join(page, (1, 1));
        let bells = (at_server.clone(), at_client.clone());
        let answering = thread::spawn(move || {
            let question = receive(&mut server, 1, &bells.0, &bells.1);
            send(&mut server, &[question[0] + 1], &bells.0, &bells.1);
        });
        send(&mut client, &[41], &at_client, &at_server);
        assert_eq!(receive(&mut client, 1, &at_client, &at_server), [42]);
        answering.join().unwrap();
    });
}

#[test]
fn what_was_written_before_leaving_is_seen_by_who_sees_the_leaving() {
    loom::model(|| {
        let page = Page::new();
        let mut server = End::serve(page.clone(), (2, 2));
        let mut client = End::join(page, (2, 2));
        let leaving = thread::spawn(move || {
            let _ = client.write(&[9]).unwrap();
            client.leave();
        });
        if server.peer() == Peer::Gone {
            let mut last = [0; 1];
            assert_eq!(server.read(&mut last).unwrap().0, 1);
            assert_eq!(last, [9]);
        }
        leaving.join().unwrap();
    });
}

/// A reader that goes to sleep as `sleep` says, against one write: whether in any execution
/// it ends asleep with a byte in the ring and no wake-up under way.
fn can_sleep_through(sleep: fn(&End<Arc<Page>>, &Arc<Page>) -> bool) -> bool {
    let overslept = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let found = overslept.clone();
    loom::model(move || {
        let page = Page::new();
        let mut server = End::serve(page.clone(), (1, 1));
        let mut client = End::join(page.clone(), (1, 1));
        // An earlier byte uses up the request that a new channel begins with.
        assert!(client.write(&[1]).unwrap().1.0);
        let _ = server.read(&mut [0]).unwrap();
        let seen = page.clone();
        let reader = thread::spawn(move || (sleep(&server, &seen), server));
        let woken = client.write(&[2]).unwrap().1.0;
        let (asleep, server) = reader.join().unwrap();
        if asleep && !woken && server.ready().unwrap() > 0 {
            found.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    });
    overslept.load(std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn asking_and_looking_again_never_oversleeps() {
    assert!(!can_sleep_through(|server, _| {
        server.ready().unwrap() == 0 && server.want_data().unwrap() == 0
    }));
}

#[test]
fn the_model_finds_the_wake_up_that_is_lost_without_the_second_look() {
    assert!(can_sleep_through(|server, page| {
        let empty = server.ready().unwrap() == 0;
        if empty {
            page.ask(Side::Server, super::WANT_DATA);
        }
        empty
    }));
}
