// SPDX-License-Identifier: MIT OR Apache-2.0
//! Meeting and parting over the local transport.

use std::fs;
use std::io::Read as _;
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use bulkhead_vchan::{Endpoints, OpenError, RingSizes, State, Transport, remove_leftovers};

use crate::stream::{CLIENT, PATIENCE, PORT, Pair, SERVER, deadline, id, wait_for};

fn names(pair: &Pair) -> Vec<String> {
    let entries = fs::read_dir(pair.folder.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_client_may_come_first() {
    let pair = Pair::local();
    thread::scope(|scope| {
        let client = scope.spawn(|| pair.connect());
        let mut server = pair.serve(RingSizes::both(4096));
        wait_for(&mut server, State::Connected);
        client.join().unwrap();
    });
}

#[test]
fn the_meeting_point_goes_when_the_client_came() {
    let pair = Pair::local();
    let server = pair.serve(RingSizes::both(4096));
    assert_eq!(names(&pair), ["ring.7.0.513.sock"]);
    drop(server);
    assert!(names(&pair).is_empty());
    let both = pair.connected(4096);
    assert!(names(&pair).is_empty());
    drop(both);
}

#[test]
fn a_channel_can_be_announced_anew_as_soon_as_its_client_has_the_memory() {
    // The client may be done with the whole channel by then, and the name be another server's.
    let pair = Pair::local();
    for _ in 0..100 {
        let mut server = pair.serve(RingSizes::both(4096));
        let name = pair.folder.path().join("ring.7.0.513.sock");
        let mut client = UnixStream::connect(&name).unwrap();
        thread::scope(|scope| {
            let served = scope.spawn(|| server.acknowledge().unwrap());
            client.read_exact(&mut [0]).unwrap();
            drop(UnixListener::bind(&name).expect("the earlier name has gone"));
            served.join().unwrap();
        });
        assert_eq!(
            names(&pair),
            ["ring.7.0.513.sock"],
            "the new name was taken away"
        );
        fs::remove_file(&name).unwrap();
    }
}

#[test]
fn a_server_whose_client_left_waits_for_the_next_one() {
    let pair = Pair::local();
    let mut server = pair.serve(RingSizes::both(4096));
    assert!(server.withdraws_first());
    let name = pair.folder.path().join("ring.7.0.513.sock");
    drop(UnixStream::connect(&name).unwrap());
    server.acknowledge().unwrap();
    assert_eq!(names(&pair), ["ring.7.0.513.sock"]);
    thread::scope(|scope| {
        let client = scope.spawn(|| pair.connect());
        wait_for(&mut server, State::Connected);
        client.join().unwrap();
    });
    assert!(names(&pair).is_empty());
}

#[test]
fn nobody_who_comes_later_meets_an_earlier_server() {
    let pair = Pair::local();
    let first = pair.connected(4096);
    let (mut server, mut client) = pair.connected(4096);
    client.write_all_blocking(b"second", deadline()).unwrap();
    let mut heard = [0; 6];
    server.read_exact_blocking(&mut heard, deadline()).unwrap();
    assert_eq!(&heard, b"second");
    drop(first);
}

#[test]
fn a_client_gives_up_when_nobody_serves() {
    let pair = Pair::local();
    let result = pair.client.connect(id(SERVER), PORT, Some(Duration::ZERO));
    let error = result.unwrap_err();
    assert_eq!(error.to_string(), "domain 7 did not open port 513 in time");
}

#[test]
fn a_client_gives_up_when_the_server_never_takes_it_in() {
    let pair = Pair::local();
    let _server = pair.serve(RingSizes::both(4096));
    let result = pair
        .client
        .connect(id(SERVER), PORT, Some(Duration::from_millis(1)));
    assert!(matches!(result, Err(OpenError::TimedOut { .. })));
}

#[test]
fn a_client_goes_when_its_wait_is_called_off() {
    // Before there is a server, and before the server has taken it in.
    for pair in [Pair::local(), Pair::socket()] {
        let called_off = UnixStream::pair().unwrap();
        let wait = || {
            let fd = called_off.0.as_fd();
            let connect = pair.client.connect_unless(id(SERVER), PORT, None, fd);
            connect.unwrap_err().to_string()
        };
        thread::scope(|scope| {
            let client = scope.spawn(wait);
            // It hangs up its bell when it begins to wait.
            while names(&pair).is_empty() {
                thread::yield_now();
            }
            called_off.1.shutdown(Shutdown::Both).unwrap();
            let error = client.join().unwrap();
            assert_eq!(error, "domain 7 is not going to open port 513");
        });
        assert_eq!(names(&pair), [""; 0]);
        if matches!(pair.client.transport(), Transport::Local(_)) {
            let _server = pair.serve(RingSizes::both(4096));
            assert_eq!(wait(), "domain 7 is not going to open port 513");
        }
    }
}

#[test]
fn clients_that_lost_patience_do_not_use_up_the_server() {
    let pair = Pair::local();
    let mut server = pair.serve(RingSizes::both(4096));
    for _ in 0..3 {
        let _ = pair.client.connect(id(SERVER), PORT, Some(Duration::ZERO));
    }
    thread::scope(|scope| {
        let client = scope.spawn(|| pair.connect());
        wait_for(&mut server, State::Connected);
        client.join().unwrap();
    });
}

#[test]
fn a_dead_servers_socket_is_not_mistaken_for_a_server() {
    let pair = Pair::local();
    let path = pair.folder.path().join("ring.7.0.513.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    thread::scope(|scope| {
        let client = scope.spawn(|| pair.connect());
        let mut server = pair.serve(RingSizes::both(4096));
        wait_for(&mut server, State::Connected);
        client.join().unwrap();
    });
}

#[test]
fn a_client_takes_the_place_of_one_that_died_waiting() {
    let pair = Pair::local();
    let left = pair.folder.path().join("bell.0.7.513.ring");
    drop(UnixListener::bind(&left).unwrap());
    thread::scope(|scope| {
        let client = scope.spawn(|| pair.connect());
        // Only a bell that somebody waits for takes this. It brings nothing, and the client waits on.
        while UnixStream::connect(&left).is_err() {
            thread::yield_now();
        }
        let mut server = pair.serve(RingSizes::both(4096));
        wait_for(&mut server, State::Connected);
        client.join().unwrap();
    });
    assert!(names(&pair).is_empty());
}

#[test]
fn a_server_comes_to_a_client_that_waits_and_takes_no_name() {
    let pair = Pair::local();
    // Nobody takes anything from this bell, so what happens is up to the server.
    let bell = UnixListener::bind(pair.folder.path().join("bell.0.7.513.ring")).unwrap();
    drop(UnixListener::bind(pair.folder.path().join("ring.7.0.513.sock")).unwrap());
    let mut server = pair.serve(RingSizes::both(4096));
    assert_eq!(names(&pair), ["bell.0.7.513.ring"]);
    assert_eq!(server.state(), State::Waiting);
    // A client that lost patience has gone as one that died has.
    drop(bell);
    wait_for(&mut server, State::Closed);
}

#[test]
fn channels_between_other_domains_are_other_channels() {
    let pair = Pair::local();
    let _server = pair.serve(RingSizes::both(4096));
    let stranger = Endpoints::new(Transport::Local(pair.folder.path().into()), id(3)).unwrap();
    let result = stranger.connect(id(SERVER), PORT, Some(Duration::ZERO));
    assert!(matches!(result, Err(OpenError::TimedOut { .. })));
}

#[test]
fn a_domain_has_no_channel_to_itself() {
    let pair = Pair::local();
    let serve = pair.server.serve(id(SERVER), PORT, RingSizes::both(4096));
    assert!(matches!(serve, Err(OpenError::Loopback(_))));
    let connect = pair.client.connect(id(CLIENT), PORT, None);
    assert!(matches!(connect, Err(OpenError::Loopback(_))));
}

#[test]
fn a_folder_with_a_long_name_will_do() {
    let top = tempfile::tempdir().unwrap();
    let deep = top.path().join("long".repeat(40));
    fs::create_dir(&deep).unwrap();
    let side = |own| Endpoints::new(Transport::Local(deep.clone()), id(own)).unwrap();
    let mut server = side(SERVER)
        .serve(id(CLIENT), PORT, RingSizes::both(4096))
        .unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(|| side(CLIENT).connect(id(SERVER), PORT, Some(PATIENCE)));
        wait_for(&mut server, State::Connected);
        client.join().unwrap().unwrap();
    });
}

#[test]
fn leftovers_of_a_dead_domain_go_and_others_stay() {
    let pair = Pair::local();
    let dead = pair.server.share(id(CLIENT), 2).unwrap();
    std::mem::forget(dead);
    std::mem::forget(pair.serve(RingSizes::both(4096)));
    for bell in ["bell.7.0.513.ring", "bell.0.7.512.ring"] {
        drop(UnixListener::bind(pair.folder.path().join(bell)).unwrap());
    }
    let alive = pair.client.share(id(SERVER), 1).unwrap();
    remove_leftovers(pair.folder.path(), id(SERVER)).unwrap();
    assert_eq!(names(&pair), [format!("pages.0.7.{}", alive.refs()[0])]);
    remove_leftovers("/no/such/folder".as_ref(), id(SERVER)).unwrap();
}
