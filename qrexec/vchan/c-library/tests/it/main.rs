// SPDX-License-Identifier: MIT OR Apache-2.0
//! The library as a C program uses it, between two processes' worth of channels in one folder.
#![allow(missing_docs, clippy::unwrap_used)]

use std::ffi::c_int;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vchan::*;

/// The environment chooses the transport, and belongs to the whole process.
static ENVIRONMENT: Mutex<()> = Mutex::new(());

struct Place {
    folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Place {
    fn new(transport: &str) -> Self {
        let turn = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        set(
            "BULKHEAD_VCHAN",
            &format!("{transport}:{}", folder.path().display()),
        );
        Self {
            folder,
            _turn: turn,
        }
    }

    fn serve(&self) -> Channel {
        set("VCHAN_DOMAIN", "7");
        Channel(libvchan_server_init(0, 513, 1024, 1024))
    }

    fn connect(&self) -> Channel {
        set("VCHAN_DOMAIN", "0");
        Channel(libvchan_client_init(7, 513))
    }
}

fn set(name: &str, value: &str) {
    // SAFETY: whoever looks at the environment here holds the lock above.
    unsafe { std::env::set_var(name, value) };
}

struct Channel(*mut Libvchan);

// SAFETY: a channel may move to another thread; one uses it at a time.
unsafe impl Send for Channel {}

impl Channel {
    // SAFETY (in each): the channel is open until it is dropped, and the buffers are slices.
    fn write(&mut self, bytes: &[u8]) -> c_int {
        // SAFETY: as said above.
        unsafe { libvchan_write(self.0, bytes.as_ptr().cast(), bytes.len()) }
    }
    fn send(&mut self, bytes: &[u8]) -> c_int {
        // SAFETY: as said above.
        unsafe { libvchan_send(self.0, bytes.as_ptr().cast(), bytes.len()) }
    }
    fn read(&mut self, most: usize) -> Vec<u8> {
        let mut buffer = vec![0; most];
        // SAFETY: as said above.
        let count = unsafe { libvchan_read(self.0, buffer.as_mut_ptr().cast(), most) };
        buffer.truncate(usize::try_from(count).unwrap_or(0));
        buffer
    }
    fn receive(&mut self, size: usize) -> (c_int, Vec<u8>) {
        let mut buffer = vec![0; size];
        // SAFETY: as said above.
        let count = unsafe { libvchan_recv(self.0, buffer.as_mut_ptr().cast(), size) };
        (count, buffer)
    }
    fn state(&mut self) -> c_int {
        // SAFETY: as said above.
        unsafe { libvchan_is_open(self.0) }
    }
    fn wait_for(&mut self, state: c_int) {
        while self.state() != state {
            // SAFETY: as said above.
            assert_eq!(unsafe { libvchan_wait(self.0) }, 0);
        }
    }
    fn ready(&mut self) -> c_int {
        // SAFETY: as said above.
        unsafe { libvchan_data_ready(self.0) }
    }
    fn space(&mut self) -> c_int {
        // SAFETY: as said above.
        unsafe { libvchan_buffer_space(self.0) }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe { libvchan_close(self.0) };
    }
}

#[test]
fn two_programs_talk_over_each_transport() {
    for transport in ["local", "socket"] {
        let place = Place::new(transport);
        let mut server = place.serve();
        assert_eq!((server.state(), server.ready()), (2, 0), "{transport}");
        assert_eq!(server.write(b"early "), 6);
        let mut client = place.connect();
        server.wait_for(1);
        assert_eq!(server.send(b"late"), 4);
        assert_eq!(client.receive(10), (10, b"early late".to_vec()));
        assert_eq!(client.write(b"answer"), 6);
        assert_eq!(server.read(100), b"answer");
        assert_eq!(client.send(b"last"), 4);
        drop(client);
        server.wait_for(0);
        assert_eq!(server.read(100), b"last");
        assert_eq!(server.read(100), b"");
        assert_eq!(server.write(b"x"), -1);
    }
}

#[test]
fn what_no_ring_can_hold_fails_at_once() {
    for transport in ["local", "socket"] {
        let place = Place::new(transport);
        let mut server = place.serve();
        let mut client = place.connect();
        let large = vec![1; usize::try_from(client.space()).unwrap() + 1];
        assert_eq!(client.send(&large), -1, "{transport}");
        assert_eq!(server.receive(1 << 21).0, -1, "{transport}");
        assert!(client.write(&large) > 0, "a part of it can be written");
    }
}

#[test]
fn a_client_of_a_socket_is_let_in_while_the_program_is_busy() {
    let place = Place::new("socket");
    let mut server = place.serve();
    assert_eq!(server.write(b"hello"), 5);
    assert_eq!(server.space(), 4096 - 5);
    let socket = place.folder.path().join("vchan.7.0.513.sock");
    let mut client = UnixStream::connect(socket).unwrap();
    let mut heard = [0; 5];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    // The program still learns that somebody came, by the descriptor that it polls.
    server.wait_for(1);
    assert_eq!(server.space(), 4096);
    client.write_all(&[7; 5000]).unwrap();
    assert_eq!(server.read(5000).len(), 4096, "no more than the ring holds");
    assert_eq!(server.read(5000).len(), 5000 - 4096);
}

#[test]
fn a_program_can_connect_without_waiting() {
    let place = Place::new("local");
    set("VCHAN_DOMAIN", "0");
    let mut fd = -1;
    // SAFETY: `fd` is an int.
    let client = Channel(unsafe { libvchan_client_init_async(7, 513, &raw mut fd) });
    assert!(fd >= 0);
    // SAFETY: the channel is open.
    let finish = |blocking| unsafe { libvchan_client_init_async_finish(client.0, blocking) };
    assert_eq!(finish(false), 1);
    let mut server = place.serve();
    assert_eq!(finish(true), 0);
    assert_eq!(finish(false), 0);
    server.wait_for(1);
}

#[test]
fn nonsense_gets_no_channel() {
    let place = Place::new("local");
    assert!(libvchan_server_init(-1, 513, 0, 0).is_null());
    assert!(libvchan_server_init(0x8000, 513, 0, 0).is_null());
    assert!(libvchan_client_init(7, -1).is_null());
    set("BULKHEAD_VCHAN", "local:/no/such/folder");
    assert!(libvchan_client_init(7, 513).is_null());
    let mut none = Channel(null_mut());
    assert_eq!((none.state(), none.ready(), none.write(b"x")), (0, -1, -1));
    drop(place);
}
