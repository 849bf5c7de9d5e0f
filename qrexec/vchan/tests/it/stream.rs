// SPDX-License-Identifier: MIT OR Apache-2.0
//! What holds for a channel over any transport: each case takes a pair of endpoints.

use std::thread;
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{Endpoints, RingSizes, State, StreamError, Transport, Vchan};
use tempfile::TempDir;

/// Long enough for a loaded machine; a passing test never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn deadline() -> Option<Instant> {
    Some(Instant::now() + PATIENCE)
}

/// Two domains that meet in a folder of their own.
pub struct Pair {
    pub folder: TempDir,
    pub server: Endpoints,
    pub client: Endpoints,
}

pub const SERVER: u32 = 7;
pub const CLIENT: u32 = 0;
pub const PORT: Port = Port(513);

pub fn id(number: u32) -> DomId {
    DomId::new(number).unwrap()
}

impl Pair {
    pub fn local() -> Self {
        Self::over(Transport::Local)
    }

    pub fn socket() -> Self {
        Self::over(Transport::Socket)
    }

    fn over(transport: impl Fn(std::path::PathBuf) -> Transport) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let side = |own| Endpoints::new(transport(folder.path().to_owned()), id(own)).unwrap();
        let (server, client) = (side(SERVER), side(CLIENT));
        Self {
            folder,
            server,
            client,
        }
    }

    pub fn serve(&self, sizes: RingSizes) -> Vchan {
        self.server.serve(id(CLIENT), PORT, sizes).unwrap()
    }

    pub fn connect(&self) -> Vchan {
        self.client
            .connect(id(SERVER), PORT, Some(PATIENCE))
            .unwrap()
    }

    /// A channel with both sides there.
    pub fn connected(&self, size: usize) -> (Vchan, Vchan) {
        let mut server = self.serve(RingSizes::both(size));
        let client = thread::scope(|scope| {
            let client = scope.spawn(|| self.connect());
            wait_for(&mut server, State::Connected);
            client.join().unwrap()
        });
        (server, client)
    }
}

/// Waits until a channel has come into a state.
pub fn wait_for(channel: &mut Vchan, state: State) {
    while channel.state() != state {
        assert!(
            channel.wait(Some(PATIENCE)).unwrap(),
            "still {:?}, not {state:?}",
            channel.state()
        );
    }
}

/// Bytes that never repeat with the period of a ring.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
        .collect()
}

fn bytes_cross_whole_and_in_order(pair: &Pair, size: usize, length: usize) {
    let (mut server, mut client) = pair.connected(size);
    let sent = pattern(length);
    thread::scope(|scope| {
        scope.spawn(|| {
            client.write_all_blocking(&sent, deadline()).unwrap();
            let mut back = vec![0; sent.len()];
            client.read_exact_blocking(&mut back, deadline()).unwrap();
            assert!(back == sent, "the echo differs");
        });
        let mut got = vec![0; sent.len()];
        server.read_exact_blocking(&mut got, deadline()).unwrap();
        assert!(got == sent, "what arrived differs");
        server.write_all_blocking(&got, deadline()).unwrap();
    });
}

fn a_server_may_speak_before_anybody_listens(pair: &Pair) {
    let mut server = pair.serve(RingSizes::both(4096));
    assert_eq!(server.state(), State::Waiting);
    assert_eq!(server.write(b"hello").unwrap(), 5);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = pair.connect();
            let mut heard = [0; 5];
            client.read_exact_blocking(&mut heard, deadline()).unwrap();
            assert_eq!(&heard, b"hello");
        });
        wait_for(&mut server, State::Closed);
    });
}

fn what_was_sent_before_leaving_can_still_be_read(pair: &Pair) {
    let (mut server, mut client) = pair.connected(4096);
    client
        .write_all_blocking(b"last words", deadline())
        .unwrap();
    drop(client);
    wait_for(&mut server, State::Closed);
    let mut words = [0; 10];
    server.read_exact_blocking(&mut words, deadline()).unwrap();
    assert_eq!(&words, b"last words");
    assert!(matches!(server.read(&mut words), Err(StreamError::Closed)));
    assert!(matches!(server.write(b"?"), Err(StreamError::Closed)));
}

fn a_client_sees_its_server_leave(pair: &Pair) {
    let (mut server, mut client) = pair.connected(4096);
    server.write_all_blocking(b"bye", deadline()).unwrap();
    drop(server);
    wait_for(&mut client, State::Closed);
    let mut words = [0; 3];
    client.read_exact_blocking(&mut words, deadline()).unwrap();
    assert!(matches!(client.read(&mut words), Err(StreamError::Closed)));
}

fn a_writer_that_waits_for_room_is_woken_by_a_reader(pair: &Pair) {
    let (mut server, mut client) = pair.connected(4096);
    while client.write(&[7; 4096]).unwrap() > 0 {}
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = vec![0; 1 << 20];
            assert!(server.read(&mut buffer).unwrap() > 0);
        });
        while client.writable().unwrap() == 0 {
            assert!(client.wait(Some(PATIENCE)).unwrap());
        }
    });
    assert!(client.write(&[8]).unwrap() == 1);
}

fn a_descriptor_falls_quiet_once_acknowledged(pair: &Pair) {
    let (mut server, mut client) = pair.connected(4096);
    while server.wait(Some(Duration::ZERO)).unwrap() {}
    assert_eq!(server.readable().unwrap(), 0);
    client.write_all_blocking(b"x", deadline()).unwrap();
    assert!(server.wait(Some(PATIENCE)).unwrap());
    assert!(
        !server.wait(Some(Duration::ZERO)).unwrap(),
        "unread bytes keep nobody awake"
    );
    drop(client);
    wait_for(&mut server, State::Closed);
    while server.wait(Some(Duration::ZERO)).unwrap() {}
    assert!(
        !server.wait(Some(Duration::ZERO)).unwrap(),
        "a dead peer keeps nobody awake"
    );
    assert_eq!(server.readable().unwrap(), 1);
}

fn deadlines_end_waits(pair: &Pair) {
    let (mut server, _client) = pair.connected(4096);
    let now = Some(Instant::now());
    assert!(matches!(
        server.read_exact_blocking(&mut [0], now),
        Err(StreamError::TimedOut)
    ));
    let flood = vec![0; 4 << 20];
    assert!(matches!(
        server.write_all_blocking(&flood, now),
        Err(StreamError::TimedOut)
    ));
}

macro_rules! over {
    ($transport:ident) => {
        mod $transport {
            use super::*;

            #[test]
            fn bytes_cross_whole_and_in_order() {
                for (size, length) in [
                    (1, 5_000),
                    (1024, 50_000),
                    (4096, 300_000),
                    (65536, 3_000_000),
                ] {
                    super::bytes_cross_whole_and_in_order(&Pair::$transport(), size, length);
                }
            }
            #[test]
            fn a_server_may_speak_before_anybody_listens() {
                super::a_server_may_speak_before_anybody_listens(&Pair::$transport());
            }
            #[test]
            fn what_was_sent_before_leaving_can_still_be_read() {
                super::what_was_sent_before_leaving_can_still_be_read(&Pair::$transport());
            }
            #[test]
            fn a_client_sees_its_server_leave() {
                super::a_client_sees_its_server_leave(&Pair::$transport());
            }
            #[test]
            fn a_writer_that_waits_for_room_is_woken_by_a_reader() {
                super::a_writer_that_waits_for_room_is_woken_by_a_reader(&Pair::$transport());
            }
            #[test]
            fn a_descriptor_falls_quiet_once_acknowledged() {
                super::a_descriptor_falls_quiet_once_acknowledged(&Pair::$transport());
            }
            #[test]
            fn deadlines_end_waits() {
                super::deadlines_end_waits(&Pair::$transport());
            }
        }
    };
}

over!(local);
over!(socket);
