// SPDX-License-Identifier: GPL-3.0-or-later
//! Peers of older versions, played by the tests as far as these behave in a way of their own.
//!
//! Programs of version 2 take no greeting with another number than theirs, and those of a guest talk
//! without frames.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{RingSizes, Vchan};
use qrexec_protocol::agent_link::terminated;
use qrexec_protocol::data::{Stream, exit_code};
use qrexec_protocol::exec::{Exec, Mode, Route, ServiceConnect};
use qrexec_protocol::frame::{Kind, UntrustedHeader, hello};
use qrexec_protocol::limits::{CONTROL_RING, DATA_MAX_V2, DATA_RING, HEADER_LEN};
use qrexec_protocol::trigger::RequestId;
use qrexec_protocol::version::Version;

use crate::fixture::{Fixture, finish, user, wait_ready};

const WORK: u32 = 1;
const PORT: Port = Port(513);

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(60))
}

/// The next frame from a peer.
fn frame_of(vchan: &mut Vchan) -> (u32, Vec<u8>) {
    let mut header = [0; HEADER_LEN];
    vchan.read_exact_blocking(&mut header, soon()).unwrap();
    let UntrustedHeader { kind, len } = UntrustedHeader::read(header);
    let mut body = vec![0; len as usize];
    vchan.read_exact_blocking(&mut body, soon()).unwrap();
    (kind, body)
}

fn say(vchan: &mut Vchan, bytes: &[u8]) {
    vchan.write_all_blocking(bytes, soon()).unwrap();
}

/// What a program of version 2 does with a greeting.
fn take_only_2(vchan: &mut Vchan) {
    let greeting = frame_of(vchan);
    assert_eq!(greeting, (Kind::Hello as u32, vec![2, 0, 0, 0]));
}

/// The daemon of such a dom0, connected with work's agent.
fn daemon_of_version_2(fixture: &Arc<Fixture>) -> Vchan {
    let endpoints = fixture.endpoints(0);
    let agent = DomId::new(WORK).unwrap();
    let patience = Some(Duration::from_secs(60));
    let mut daemon = endpoints.connect(agent, Port::QREXEC, patience).unwrap();
    take_only_2(&mut daemon);
    say(&mut daemon, &hello(Version::V2));
    daemon
}

#[test]
fn an_agent_serves_a_dom0_that_knows_only_version_2() {
    let fixture = Fixture::without_policy();
    fixture.service("test.Much", "head -c 20000 /dev/zero; exit 7");
    fixture.start_agent_with(WORK, &["--protocol-version", "2"]);
    let mut daemon = daemon_of_version_2(&fixture);
    let work = DomId::new(WORK).unwrap();
    let endpoints = fixture.endpoints(0);
    let mut data = endpoints
        .serve(work, PORT, RingSizes::both(DATA_RING))
        .unwrap();
    let route = Route {
        domain: DomId::DOM0,
        port: PORT,
    };
    let command = format!("{}:QUBESRPC test.Much dom0", user()).into_bytes();
    let mode = Mode::Attached;
    let exec = Exec {
        mode,
        route,
        command,
    };
    say(&mut daemon, &exec.encode());
    take_only_2(&mut data);
    say(&mut data, &hello(Version::V2));
    let mut output = 0;
    let code = loop {
        let (kind, body) = frame_of(&mut data);
        assert!(body.len() <= DATA_MAX_V2, "{} bytes at once", body.len());
        match Kind::from_number(kind).unwrap() {
            Kind::DataStdout => output += body.len(),
            Kind::DataExitCode => break body,
            _ => {}
        }
    };
    assert_eq!((output, code), (20000, vec![7, 0, 0, 0]));
    // Such a caller would fail, and say so, if the channel were closed when its input ends.
    let closed = data.wait(Some(Duration::from_millis(100))).unwrap();
    assert!(!closed, "{:?}", data.state());
    say(&mut data, &Stream::Stdin.end());
    drop(data);
    let over = terminated(route)[HEADER_LEN..].to_vec();
    let told = (Kind::ConnectionTerminated as u32, over);
    assert_eq!(frame_of(&mut daemon), told);
}

#[test]
fn a_guest_calls_a_dom0_that_knows_only_version_2() {
    let fixture = Fixture::without_policy();
    fixture.start_agent_with(WORK, &["--protocol-version", "2"]);
    let mut daemon = daemon_of_version_2(&fixture);
    let mut call = fixture.domain_calls(WORK, "dom0", "test.Tell+a");
    let caller = thread::spawn(move || finish(&mut call, b"hello"));
    let (kind, request) = frame_of(&mut daemon);
    assert_eq!((kind, request.len()), (Kind::TriggerV2 as u32, 128));
    assert_eq!(request[..12], *b"test.Tell+a\0");
    assert_eq!(request[64..69], *b"dom0\0");
    let route = Route {
        domain: DomId::DOM0,
        port: PORT,
    };
    let ident = RequestId::parse(&request[96..]).unwrap();
    say(&mut daemon, &ServiceConnect { route, ident }.encode());
    let work = DomId::new(WORK).unwrap();
    let patience = Some(Duration::from_secs(60));
    let mut data = fixture.endpoints(0).connect(work, PORT, patience).unwrap();
    // A service of dom0 hears its caller first.
    take_only_2(&mut data);
    say(&mut data, &hello(Version::V2));
    assert_eq!(frame_of(&mut data).1, b"hello");
    let out = [&Stream::Stdout.header(3)[..], b"out"].concat();
    for frame in [
        out,
        Stream::Stdout.end(),
        Stream::Stderr.end(),
        exit_code(7),
    ] {
        say(&mut data, &frame);
    }
    let outcome = caller.join().unwrap();
    assert_eq!(
        (outcome.code, outcome.text()),
        (Some(7), "out"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn an_agent_says_that_a_daemon_may_have_wanted_an_older_version() {
    let fixture = Fixture::without_policy();
    fixture.start_agent(WORK);
    let endpoints = fixture.endpoints(0);
    let agent = DomId::new(WORK).unwrap();
    let patience = Some(Duration::from_secs(60));
    for _ in 0..2 {
        let mut daemon = endpoints.connect(agent, Port::QREXEC, patience).unwrap();
        assert_eq!(frame_of(&mut daemon).1, [4, 0, 0, 0]);
    }
    let log = fixture.log("agent 1");
    let told = "one that knows only version 2, and not 4, does so";
    assert!(log.contains(told), "{log}");
}

#[test]
fn a_caller_of_version_2_is_understood() {
    let fixture = Fixture::new();
    fixture.domain(WORK, "work");
    let mut caller = UnixStream::connect(fixture.agent_socket(WORK)).unwrap();
    let mut request = [0; 128];
    request[..11].copy_from_slice(b"test.Tell+a");
    request[64..68].copy_from_slice(b"dom0");
    request[96..102].copy_from_slice(b"SOCKET");
    // It need not come at once.
    caller.write_all(&request[..50]).unwrap();
    caller.write_all(&request[50..]).unwrap();
    let mut answer = [0; 8];
    caller.read_exact(&mut answer).unwrap();
    assert_eq!(Route::decode(&answer).unwrap().domain, DomId::DOM0);
}

#[test]
fn dom0_calls_through_a_daemon_that_knows_only_version_2() {
    let fixture = Fixture::new();
    fixture.service("test.Tell", "echo told; exit 7");
    fixture.domain(WORK, "work");
    // The real daemon behind one that begins as those of version 2 do.
    let folder = fixture.layout().qrexec_dir();
    symlink(folder.join("qrexec.old"), folder.join("qrexec.2")).unwrap();
    let listener = UnixListener::bind(folder.join("qrexec.old")).unwrap();
    let real = folder.join("qrexec.work");
    let daemon = thread::spawn(move || {
        let mut greetings = Vec::new();
        loop {
            let (mut client, _) = listener.accept().unwrap();
            client.write_all(&hello(Version::V2)).unwrap();
            let mut greeting = [0; 12];
            client.read_exact(&mut greeting).unwrap();
            greetings.push(greeting[8]);
            if greeting[8] != 2 {
                continue;
            }
            let mut real = UnixStream::connect(&real).unwrap();
            real.write_all(&hello(Version::SOCKET)).unwrap();
            real.read_exact(&mut [0; 12]).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), real.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from, &mut to));
            let _ = std::io::copy(&mut real, &mut client);
            return greetings;
        }
    });
    let mut call = fixture.dom0_calls("old", "QUBESRPC test.Tell dom0");
    let outcome = finish(&mut call, b"");
    assert_eq!(
        (outcome.code, outcome.text()),
        (Some(7), "told\n"),
        "{}",
        outcome.stderr
    );
    assert_eq!(daemon.join().unwrap(), [3, 2]);
}

#[test]
fn an_agent_of_version_2_is_answered_with_its_own_number() {
    let fixture = Fixture::without_policy();
    let endpoints = fixture.endpoints(WORK);
    let sizes = RingSizes::both(CONTROL_RING);
    let mut agent = endpoints.serve(DomId::DOM0, Port::QREXEC, sizes).unwrap();
    say(&mut agent, &hello(Version::V2));
    let ready = fixture.start_daemon(WORK, "work");
    take_only_2(&mut agent);
    wait_ready(&ready);
}
