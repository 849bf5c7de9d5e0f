// SPDX-License-Identifier: GPL-3.0-or-later
//! Peers that die, lie and flood.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::{RingSizes, State, Vchan};
use qrexec_protocol::agent_link::{FromAgent, ToDaemon};
use qrexec_protocol::exec::{Route, ServiceConnect};
use qrexec_protocol::frame::{Incoming, Kind, Receiver, frame, hello};
use qrexec_protocol::limits::CONTROL_RING;
use qrexec_protocol::trigger::{CallRequest, RequestId, UntrustedTrigger};
use qrexec_protocol::version::Version;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::account::Account;
use crate::fixture::{Fixture, finish, wait_ready};

/// Starts a call and waits until its service has said something.
pub fn under_way(command: &mut Command) -> Child {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "started\n");
    child
}

/// Kills the agent of `personal` under calls, and starts it again.
fn killed_agent_ends_its_calls_and_comes_back(fixture: &Fixture) {
    fixture.domain(1, "work");
    let ready = fixture.domain(2, "personal");
    fixture.service("test.Long", "echo started; exec cat");
    let calls = [
        under_way(&mut fixture.dom0_calls("personal", "QUBESRPC test.Long dom0")),
        under_way(&mut fixture.domain_calls(1, "personal", "test.Long")),
    ];
    fixture.kill("agent 2");
    for call in calls {
        let output = call.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(255), "{stderr}");
        assert!(
            stderr.contains("failed\ncaused by: the call was cut off"),
            "{stderr}"
        );
    }
    fixture.start_agent(2);
    wait_ready(&ready);
    let again = finish(&mut fixture.dom0_calls("personal", "exit 3"), b"");
    assert_eq!(again.code, Some(3), "{}", again.stderr);
}

/// Kills the daemon of `personal` under a call from another domain, and starts another one.
fn killed_daemon_leaves_calls_alone(fixture: &Fixture) {
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Long", "echo started; cat");
    let mut call = under_way(&mut fixture.domain_calls(1, "personal", "test.Long"));
    fixture.kill("daemon 2");
    wait_ready(&fixture.start_daemon(2, "personal"));
    assert_eq!(
        finish(&mut fixture.dom0_calls("personal", "exit 3"), b"").code,
        Some(3)
    );
    drop(call.stdin.take());
    assert_eq!(call.wait().unwrap().code(), Some(0));
}

#[test]
fn a_killed_agent_ends_its_calls_with_an_error_and_comes_back() {
    on_each_wire(killed_agent_ends_its_calls_and_comes_back);
}

#[test]
fn a_killed_daemon_leaves_running_calls_alone_and_its_successor_takes_new_ones() {
    on_each_wire(killed_daemon_leaves_calls_alone);
}

#[test]
fn a_killed_caller_ends_the_service() {
    on_each_wire(killed_caller_ends_the_service);
}

/// Tells a story over rings, and over plain sockets, where programs of others can take part.
fn on_each_wire(story: fn(&Fixture)) {
    story(&Fixture::new());
    story(&Fixture::over_sockets());
}

/// Kills the caller of a service that reads, and of one that only writes.
fn killed_caller_ends_the_service(fixture: &Fixture) {
    fixture.domain(1, "work");
    let over = fixture.path().join("over");
    nix::unistd::mkfifo(&over, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let over = over.display();
    // Both have only what the end of their caller does to their streams.
    for (works, code) in [("cat >&2", 0), ("yes", 141)] {
        let script = format!("echo started; {works}; echo $? >{over}");
        fixture.service("test.Long", &script);
        let mut call = fixture.dom0_calls("work", "QUBESRPC test.Long dom0");
        let mut call = under_way(&mut call);
        call.kill().unwrap();
        call.wait().unwrap();
        let told = std::fs::read_to_string(fixture.path().join("over")).unwrap();
        assert_eq!(told, format!("{code}\n"), "{works}");
    }
}

#[test]
fn a_caller_that_no_longer_reads_still_gets_the_exit_code() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    // More than fits in between.
    fixture.service(
        "test.Much",
        "echo started; head -c 3000000 /dev/zero; exit 7",
    );
    let mut call = under_way(&mut fixture.dom0_calls("work", "QUBESRPC test.Much dom0"));
    drop(call.stdout.take());
    assert_eq!(call.wait().unwrap().code(), Some(7));
}

/// An agent of the test's own making, to which the daemon has come.
pub fn fake_agent(fixture: &Fixture, id: u32) -> Vchan {
    fake_agent_with_rings(fixture, id, CONTROL_RING)
}

fn fake_agent_with_rings(fixture: &Fixture, id: u32, size: usize) -> Vchan {
    let sizes = RingSizes::both(size);
    let mut vchan = fixture
        .endpoints(id)
        .serve(DomId::DOM0, Port::QREXEC, sizes)
        .unwrap();
    while vchan.state() == State::Waiting {
        vchan.wait(None).unwrap();
    }
    vchan
}

/// An agent of the test's own making after the greetings, whose daemon is ready, with rings of this
/// size.
pub fn greeted_agent(fixture: &Fixture, id: u32, ready: &UnixDatagram, ring: usize) -> Vchan {
    let mut agent = fake_agent_with_rings(fixture, id, ring);
    agent.write_all_blocking(&hello(Version::V4), None).unwrap();
    wait_ready(ready);
    agent.read_exact_blocking(&mut [0; 12], None).unwrap();
    agent
}

/// The body of the daemon's next message, whatever it is.
pub fn next_message(agent: &mut Vchan) -> Vec<u8> {
    let mut header = [0; 8];
    agent.read_exact_blocking(&mut header, None).unwrap();
    let mut body = vec![0; u32::from_le_bytes(header[4..].try_into().unwrap()) as usize];
    agent.read_exact_blocking(&mut body, None).unwrap();
    body
}

/// Waits until the daemon has hung up on us.
pub fn hung_up(vchan: &mut Vchan) {
    let mut bytes = [0; 4096];
    loop {
        match vchan.read(&mut bytes) {
            Ok(0) => drop(vchan.wait(None).unwrap()),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

#[test]
fn an_agent_that_sends_garbage_loses_its_session_and_nothing_else_notices() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    let ready = fixture.start_daemon(2, "evil");
    let trigger =
        |service: &str| UntrustedTrigger::new("", "work", &RequestId::numbered(1), service);
    let greeted = |bytes: Vec<u8>| [hello(Version::V4), bytes].concat();
    let cases: Vec<(bool, Vec<u8>)> = vec![
        (false, b"GET / HTTP/1.1\r\n\r\n".to_vec()),
        (false, trigger("test.True").encode(Version::V4).unwrap()),
        (true, greeted(vec![0xff; 64])),
        (true, greeted(frame(Kind::TriggerV4, &[&[b'a'; 160]]))),
        (true, greeted(frame(Kind::TriggerV2, &[&[0; 128]]))),
        (true, greeted(frame(Kind::ExecCmdline, &[&[0; 12]]))),
        (
            true,
            greeted(frame(Kind::ConnectionTerminated, &[&[0xff; 8]])),
        ),
    ];
    for (greets, bytes) in cases {
        let mut agent = fake_agent(&fixture, 2);
        agent.write_all_blocking(&bytes, None).unwrap();
        if greets {
            wait_ready(&ready);
        }
        hung_up(&mut agent);
    }
    assert_eq!(
        finish(&mut fixture.dom0_calls("work", "exit 3"), b"").code,
        Some(3)
    );
    fixture.start_agent(2);
    wait_ready(&ready);
    assert_eq!(
        finish(&mut fixture.dom0_calls("evil", "exit 4"), b"").code,
        Some(4)
    );
}

#[test]
fn an_agent_that_floods_and_never_reads_costs_only_itself() {
    let fixture = Fixture::without_policy();
    let ready = fixture.start_daemon(2, "evil");
    let mut agent = fake_agent(&fixture, 2);
    agent.write_all_blocking(&hello(Version::V4), None).unwrap();
    wait_ready(&ready);
    // Requests that can only be refused, until the daemon no longer listens because nobody takes its
    // answers.
    let bad = UntrustedTrigger::new("", "work", &RequestId::numbered(1), "+")
        .encode(Version::V4)
        .unwrap();
    let soon = Duration::from_millis(300);
    let mut sent = 0;
    while agent
        .write_all_blocking(&bad, Some(Instant::now() + soon))
        .is_ok()
    {
        sent += 1;
        assert!(sent < 100_000, "the daemon takes everything");
    }
    // It still answers dom0: the client is heard when the agent reads again.
    fixture.domain(1, "work");
    assert_eq!(
        finish(&mut fixture.dom0_calls("work", "exit 3"), b"").code,
        Some(3)
    );
    drop(agent);
    fixture.start_agent(2);
    wait_ready(&ready);
    assert_eq!(
        finish(&mut fixture.dom0_calls("evil", "exit 4"), b"").code,
        Some(4)
    );
}

#[test]
fn an_agent_that_floods_fills_no_log() {
    let fixture = Fixture::without_policy();
    let ready = fixture.start_daemon(2, "evil");
    let mut agent = greeted_agent(&fixture, 2, &ready, CONTROL_RING);
    // Only good for a complaint.
    let bad = UntrustedTrigger::new("", "work", &RequestId::numbered(1), "+");
    let bad = bad.encode(Version::V4).unwrap();
    let mut complain = |times| {
        agent.write_all_blocking(&bad.repeat(times), None).unwrap();
        let mut answers = vec![0; 40 * times];
        agent.read_exact_blocking(&mut answers, None).unwrap();
    };
    (0..800).for_each(|_| complain(10));
    let lines = fixture.log("daemon 2").lines().count();
    assert!((5000..8000).contains(&lines), "{lines} lines");
    // With time it complains again, and says what is missing.
    let begun = Instant::now();
    while !fixture.log("daemon 2").contains(" lines were left out\n") {
        complain(1);
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}

#[test]
fn a_full_disk_for_the_logs_stops_nobody() {
    let fixture = Fixture::new();
    fixture.fill_logs();
    fixture.domain(1, "work");
    fixture.start_session(1, "session");
    fixture.domain(2, "personal");
    fixture.service("test.Mark", "echo $MARK");
    for _ in 0..2 {
        // A complaint for each of them.
        let _ = finish(&mut fixture.domain_calls(2, "work", "test.None"), b"");
        let _ = finish(&mut fixture.dom0_calls("personal", "QUBESRPC"), b"");
        let outcome = finish(&mut fixture.domain_calls(2, "work", "test.Mark"), b"");
        assert_eq!(outcome.text(), "session\n", "{}", outcome.stderr);
        let outcome = finish(&mut fixture.domain_calls(1, "personal", "test.Mark"), b"");
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
}

#[test]
fn an_agent_that_is_too_old_ends_its_daemon_which_names_both_versions() {
    let fixture = Fixture::new();
    let _ready = fixture.start_daemon(2, "ancient");
    let mut agent = fake_agent(&fixture, 2);
    let offer = frame(Kind::Hello, &[&1u32.to_le_bytes()]);
    agent.write_all_blocking(&offer, None).unwrap();
    assert_eq!(fixture.end_of("daemon 2"), Some(1));
    let log = fixture.log("daemon 2");
    let told = "error: the qrexec agent of ancient is too old\n\
                caused by: the peer speaks version 1 of the protocol, this side 2 to 4\n";
    assert!(log.ends_with(told), "{log}");
}

/// A daemon of the test's own making, which has greeted the agent of a domain.
fn fake_daemon(fixture: &Fixture, id: u32) -> Vchan {
    let agent = DomId::new(id).unwrap();
    let dom0 = fixture.endpoints(0);
    let mut daemon = dom0.connect(agent, Port::QREXEC, None).unwrap();
    daemon
        .write_all_blocking(&hello(Version::V4), None)
        .unwrap();
    daemon.read_exact_blocking(&mut [0; 12], None).unwrap();
    daemon
}

/// The request that the agent passes on next.
fn next_request(daemon: &mut Vchan) -> CallRequest {
    let mut agent = Receiver::<FromAgent>::new();
    agent.push(&hello(Version::V4));
    assert!(matches!(agent.next(), Ok(Some(Incoming::Agreed(_)))));
    let mut byte = [0];
    loop {
        daemon.read_exact_blocking(&mut byte, None).unwrap();
        agent.push(&byte);
        match agent.next().unwrap() {
            Some(Incoming::Message(ToDaemon::Trigger(trigger))) => return trigger.check().unwrap(),
            None => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_end_of_a_call_is_not_told_to_a_daemon_that_knows_nothing_of_it() {
    let fixture = Fixture::new();
    fixture.start_agent(1);
    let mut daemon = fake_daemon(&fixture, 1);
    let mut call = fixture.domain_calls(1, "dom0", "test.Any");
    let mut call = call.stdin(Stdio::piped()).spawn().unwrap();
    let ident = next_request(&mut daemon).ident;
    let route = Route {
        domain: DomId::DOM0,
        port: Port(513),
    };
    let connect = ServiceConnect { route, ident };
    daemon.write_all_blocking(&connect.encode(), None).unwrap();
    let work = DomId::new(1).unwrap();
    let service = fixture.endpoints(0).connect(work, route.port, None);
    drop(daemon);
    // The next daemon may have given the port to another call by now.
    let mut daemon = fake_daemon(&fixture, 1);
    call.kill().unwrap();
    call.wait().unwrap();
    let mut next = fixture.domain_calls(1, "dom0", "test.Next");
    let mut next = next.stderr(Stdio::null()).spawn().unwrap();
    let request = next_request(&mut daemon);
    assert_eq!(request.service.to_string(), "test.Next");
    drop((service, daemon));
    assert_eq!(next.wait().unwrap().code(), Some(126));
}

/// Sets how many descriptors a process may have, as far as ours may have so many.
fn limit_descriptors(process: u32, count: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: Some(maximum.map_or(count, |most| most.min(count))),
        maximum,
    };
    let process = Pid::from_raw(i32::try_from(process).unwrap());
    prlimit(process, Resource::Nofile, limit).unwrap();
}

#[test]
fn a_call_for_which_descriptors_run_out_at_any_step_leaves_nothing_behind() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.True", "true");
    let call = || {
        let mut call = fixture.dom0_calls("work", "QUBESRPC test.True dom0");
        finish(call.args(["-w", "1"]), b"").code
    };
    assert_eq!(call(), Some(0));
    let before = Account::of(&fixture);
    let agent = fixture.running()["agent 1"];
    let mut codes = Vec::new();
    for more in 0..24 {
        let open = std::fs::read_dir(format!("/proc/{agent}/fd")).unwrap();
        limit_descriptors(agent, (open.count() + more) as u64);
        codes.push(call());
        limit_descriptors(agent, 20_000);
        before.processes_come_back(&fixture);
    }
    assert_eq!(codes.last(), Some(&Some(0)), "{codes:?}");
    assert!(codes.contains(&Some(125)), "{codes:?}");
    assert_eq!(call(), Some(0));
}

#[test]
fn an_agent_without_a_descriptor_for_a_caller_waits_for_one() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.True", "true");
    let agent = fixture.running()["agent 1"];
    let log = || {
        fixture
            .log("agent 1")
            .matches("cannot take a caller")
            .count()
    };
    limit_descriptors(agent, 3);
    let mut call = fixture.domain_calls(1, "dom0", "test.True");
    let mut call = call.stdin(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while log() < 8 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it was let in");
    }
    let tried = begun.elapsed();
    limit_descriptors(agent, 20_000);
    assert_eq!(call.wait().unwrap().code(), Some(0));
    // It looks again now and then, and not all the time.
    let (times, millis) = (log(), tried.as_millis() as usize);
    assert!(times <= 4 + millis / 200, "{times} times in {millis} ms");
}

#[test]
fn an_agent_of_version_two_is_served_in_its_own_words() {
    let fixture = Fixture::new();
    let ready = fixture.start_daemon(2, "old");
    let mut agent = fake_agent(&fixture, 2);
    agent.write_all_blocking(&hello(Version::V2), None).unwrap();
    wait_ready(&ready);
    let mut answer = [0; 12];
    agent.read_exact_blocking(&mut answer, None).unwrap();
    assert_eq!(answer.to_vec(), hello(Version::V2));
    let trigger = UntrustedTrigger::new("", "nobody", &RequestId::numbered(9), "test.True");
    agent
        .write_all_blocking(&trigger.encode(Version::V2).unwrap(), None)
        .unwrap();
    let mut refused = [0; 40];
    agent.read_exact_blocking(&mut refused, None).unwrap();
    assert_eq!(
        refused.to_vec(),
        frame(Kind::ServiceRefused, &[&RequestId::numbered(9).field()])
    );
}

#[test]
fn an_agent_may_use_an_id_again_once_it_has_had_its_answer() {
    let fixture = Fixture::new();
    fixture.service("test.True", "true");
    let ready = fixture.start_daemon(2, "personal");
    let mut agent = greeted_agent(&fixture, 2, &ready, CONTROL_RING);
    let trigger = UntrustedTrigger::new("", "dom0", &RequestId::numbered(5), "test.True");
    // The first call is still waiting for its caller when the others are asked for.
    let routes = [(); 3].map(|()| {
        let request = trigger.encode(Version::V4).unwrap();
        agent.write_all_blocking(&request, None).unwrap();
        let mut answer = [0; 48];
        agent.read_exact_blocking(&mut answer, None).unwrap();
        assert_eq!(answer[..4], (Kind::ServiceConnect as u32).to_le_bytes());
        answer[8..16].to_vec()
    });
    assert!(
        routes[0] != routes[1] && routes[1] != routes[2],
        "{routes:?}"
    );
}

#[test]
fn local_programs_that_talk_nonsense_to_the_agent_are_dropped() {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.True", "true");
    let mut silent: Vec<UnixStream> = Vec::new();
    for bytes in [
        &b""[..],
        b"\x13\x02\0\0",
        b"\x13\x02\0\0\xff\xff\xff\xff",
        &[0xff; 200],
    ] {
        let mut stream = UnixStream::connect(fixture.path().join("agent.1")).unwrap();
        stream.write_all(bytes).unwrap();
        if bytes.len() >= 8 {
            let mut rest = Vec::new();
            // Dropped; whether it reads as an end or as a reset does not matter.
            let _ = stream.read_to_end(&mut rest);
            assert!(rest.is_empty());
        } else {
            silent.push(stream);
        }
    }
    assert_eq!(
        finish(&mut fixture.domain_calls(1, "dom0", "test.True"), b"").code,
        Some(0)
    );
}
