// SPDX-License-Identifier: MIT OR Apache-2.0
//! Throughput and round trip of the transports that need no Xen. Prints figures, asserts none.
//!
//! `cargo bench -p bulkhead-vchan --bench transports`

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{Endpoints, RingSizes, State, Transport, Vchan};

const STREAM: usize = 1 << 30;
const ROUNDS: u32 = 50_000;

fn main() {
    // What `cargo test --benches` wants to know is only that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    for ring in [4096, 65536, 1 << 20] {
        report("local", ring, Transport::Local);
    }
    report("socket", 65536, Transport::Socket);
}

fn report(name: &str, ring: usize, transport: impl Fn(std::path::PathBuf) -> Transport) {
    let (server, client) = pair(ring, transport);
    let (server, client, speed) = stream(server, client);
    let round = round_trip(server, client);
    println!("{name:<7} ring {ring:>8}: {speed:>5.2} GB/s one way, {round:>6.2} µs there and back");
}

fn pair(ring: usize, transport: impl Fn(std::path::PathBuf) -> Transport) -> (Vchan, Vchan) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let side = |id| {
        let id = DomId::new(id).expect("a domain id");
        (
            id,
            Endpoints::new(transport(folder.path().into()), id).expect("the folder is there"),
        )
    };
    let ((one, at_one), (two, at_two)) = (side(1), side(2));
    let mut server = at_one
        .serve(two, Port(1), RingSizes::both(ring))
        .expect("a server");
    let client = thread::scope(|scope| {
        let client = scope.spawn(|| at_two.connect(one, Port(1), None).expect("a client"));
        while server.state() == State::Waiting {
            server.wait(None).expect("a wait");
        }
        client.join().expect("the client's thread")
    });
    (server, client)
}

/// One gigabyte from client to server in blocks of 64 KiB, none of them looked at.
fn stream(mut server: Vchan, mut client: Vchan) -> (Vchan, Vchan, f64) {
    let begun = Instant::now();
    let writer = thread::spawn(move || {
        let block = vec![7; 65536];
        for _ in 0..STREAM / block.len() {
            client
                .write_all_blocking(&block, None)
                .expect("the reader is there");
        }
        client
    });
    let mut buffer = vec![0; 65536];
    let mut left = STREAM;
    while left > 0 {
        let wanted = buffer.len().min(left);
        let count = server
            .read(&mut buffer[..wanted])
            .expect("the writer is there");
        black_box(&buffer);
        left -= count;
        if count == 0 {
            server.wait(None).expect("a wait");
        }
    }
    let speed = STREAM as f64 / begun.elapsed().as_secs_f64() / 1e9;
    (server, writer.join().expect("the writer's thread"), speed)
}

/// One byte there and back, in microseconds.
fn round_trip(mut server: Vchan, mut client: Vchan) -> f64 {
    let echo = thread::spawn(move || {
        let mut byte = [0];
        for _ in 0..ROUNDS {
            server
                .read_exact_blocking(&mut byte, None)
                .expect("a question");
            server
                .write_all_blocking(&byte, None)
                .expect("room for an answer");
        }
    });
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        client
            .write_all_blocking(&[1], None)
            .expect("room for a question");
        client
            .read_exact_blocking(&mut [0], None)
            .expect("an answer");
    }
    let time = begun.elapsed().as_secs_f64() / f64::from(ROUNDS) * 1e6;
    echo.join().expect("the echo's thread");
    time
}
