// SPDX-License-Identifier: MIT OR Apache-2.0
//! The socket transport against peers that are nothing but a socket.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use bulkhead_vchan::{RingSizes, State};

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
