// SPDX-License-Identifier: MIT OR Apache-2.0
//! The socket transport against peers that are nothing but a socket.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use bulkhead_vchan::{RingSizes, State};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket,
};

use crate::stream::{Pair, deadline, wait_for};

const NAME: &str = "vchan.7.0.513.sock";

#[test]
fn a_plain_socket_may_be_the_client() {
    let pair = Pair::socket();
    let mut server = pair.serve(RingSizes::both(4096));
    server.write_all_blocking(b"early ", deadline()).unwrap();
    let mut client = UnixStream::connect(pair.folder.path().join(NAME)).unwrap();
    wait_for(&mut server, State::Connected);
    assert!(
        !pair.folder.path().join(NAME).exists(),
        "the name is free for the next server"
    );
    server.write_all_blocking(b"late", deadline()).unwrap();
    let mut heard = [0; 10];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"early late");
    client.write_all(b"answer").unwrap();
    drop(client);
    wait_for(&mut server, State::Closed);
    let mut answer = [0; 6];
    server.read_exact_blocking(&mut answer, deadline()).unwrap();
    assert_eq!(&answer, b"answer");
}

#[test]
fn a_plain_socket_may_be_the_server() {
    let pair = Pair::socket();
    let listener = UnixListener::bind(pair.folder.path().join(NAME)).unwrap();
    let mut client = pair.connect();
    assert_eq!(client.state(), State::Connected);
    client.write_all_blocking(b"question", deadline()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    let mut question = [0; 8];
    server.read_exact(&mut question).unwrap();
    assert_eq!(&question, b"question");
    server.write_all(b"!").unwrap();
    drop(server);
    let mut answer = [0; 1];
    client.read_exact_blocking(&mut answer, deadline()).unwrap();
    wait_for(&mut client, State::Closed);
}

#[test]
fn a_server_may_have_its_name_before_it_listens() {
    let pair = Pair::socket();
    let flags = SockFlag::SOCK_CLOEXEC;
    let listener = socket(AddressFamily::Unix, SockType::Stream, flags, None).unwrap();
    let address = UnixAddr::new(&pair.folder.path().join(NAME)).unwrap();
    bind(listener.as_raw_fd(), &address).unwrap();
    std::thread::scope(|scope| {
        let client = scope.spawn(|| pair.connect());
        // Until the client has looked once and hung up its bell.
        while !has_bell(&pair) {
            std::thread::yield_now();
        }
        listen(&listener, Backlog::new(1).unwrap()).unwrap();
        assert_eq!(client.join().unwrap().state(), State::Connected);
    });
}

fn has_bell(pair: &Pair) -> bool {
    let names = std::fs::read_dir(pair.folder.path()).unwrap().flatten();
    names
        .map(|entry| entry.file_name())
        .any(|name| name.to_string_lossy().starts_with("bell."))
}

#[test]
fn a_peer_that_is_still_speaking_when_we_finish_is_not_cut_off() {
    let pair = Pair::socket();
    let mut server = pair.serve(RingSizes::both(4096));
    let mut client = UnixStream::connect(pair.folder.path().join(NAME)).unwrap();
    wait_for(&mut server, State::Connected);
    server.write_all_blocking(b"bye", deadline()).unwrap();
    let finished = std::thread::spawn(move || server.finish(Duration::from_secs(60)));
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).unwrap();
    assert_eq!(heard, b"bye");
    client.write_all(&[0; 1 << 20]).unwrap();
    drop(client);
    finished.join().unwrap();
}

#[test]
fn finishing_does_not_wait_longer_than_told() {
    let pair = Pair::socket();
    let mut server = pair.serve(RingSizes::both(4096));
    let mut client = UnixStream::connect(pair.folder.path().join(NAME)).unwrap();
    wait_for(&mut server, State::Connected);
    server.finish(Duration::from_millis(1));
    assert!(client.write_all(b"too late").is_err());
}
