// SPDX-License-Identifier: GPL-3.0-or-later
//! Many calls: at one time, one after the other, and more than there may be.
//!
//! The numbers are small; `BULKHEAD_CALLS_AT_ONCE`, `BULKHEAD_CALLS_IN_A_ROW` and
//! `BULKHEAD_CALLERS_KILLED` make them what is promised (1000, 10 000 and 1000).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Port};
use qrexec_protocol::agent_link::{FromAgent, Refusal, ToDaemon, refused};
use qrexec_protocol::agent_socket::BUSY;
use qrexec_protocol::client_link::busy;
use qrexec_protocol::frame::{Incoming, Receiver, hello};
use qrexec_protocol::trigger::{RequestId, UntrustedTrigger};
use qrexec_protocol::version::Version;
use qrexec_relay::allow_many_descriptors;

use crate::account::{Account, GROWTH_MAX, resident, times};
use crate::faults::fake_agent;
use crate::fixture::{Fixture, allow, finish, wait_ready};

/// Requests of one domain that may wait for policy.
const REQUESTS_MAX: u64 = 1024;

fn start(mut command: Command) -> Child {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn all_calls_are_under_way_at_one_time_and_each_comes_back() {
    allow_many_descriptors().unwrap();
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Echo", "echo started; exec cat");
    let calls = times("BULKHEAD_CALLS_AT_ONCE", 30);
    let kinds: [&dyn Fn() -> Command; 3] = [
        &|| fixture.dom0_calls("personal", "QUBESRPC test.Echo dom0"),
        &|| fixture.domain_calls(1, "personal", "test.Echo"),
        &|| fixture.domain_calls(1, "dom0", "test.Echo"),
    ];
    // Daemons that have served one call each have closed all that they needed to begin.
    for client in kinds {
        assert_eq!(finish(&mut client(), b"").code, Some(0));
    }
    let before = Account::of(&fixture);
    for client in kinds {
        let mut running: Vec<_> = (0..calls).map(|_| start(client())).collect();
        let mut outputs: Vec<_> = running
            .iter_mut()
            .map(|child| BufReader::new(child.stdout.take().unwrap()))
            .collect();
        // Once each has said this, all of them are under way.
        for output in &mut outputs {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            assert_eq!(line, "started\n");
        }
        for (n, child) in running.iter_mut().enumerate() {
            let mut input = child.stdin.take().unwrap();
            write!(input, "call {n}").unwrap();
        }
        for (n, (mut child, mut output)) in running.into_iter().zip(outputs).enumerate() {
            let mut text = String::new();
            output.read_to_string(&mut text).unwrap();
            assert_eq!(
                (child.wait().unwrap().code(), text),
                (Some(0), format!("call {n}"))
            );
        }
        before.comes_back(&fixture);
    }
}

#[test]
fn nothing_leaks_over_many_calls_of_every_kind() {
    let fixture = Fixture::without_policy();
    fixture.policy(Box::new(|question| {
        if question["intended_target"] == "vault" {
            "result=deny\n".to_owned()
        } else {
            allow(question)
        }
    }));
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Echo", "exec cat");
    let kinds: [(&dyn Fn() -> Command, i32); 7] = [
        (
            &|| fixture.dom0_calls("personal", "QUBESRPC test.Echo dom0"),
            0,
        ),
        (&|| fixture.domain_calls(1, "personal", "test.Echo"), 0),
        (&|| fixture.domain_calls(1, "dom0", "test.Echo"), 0),
        (&|| fixture.domain_calls(1, "vault", "test.Echo"), 126),
        (&|| fixture.domain_calls(1, "nobody", "test.Echo"), 126),
        (&|| fixture.domain_calls(2, "work", "test.None"), 127),
        (&|| fixture.dom0_calls("work", "exit 3"), 3),
    ];
    let round = || {
        for (client, code) in &kinds {
            let outcome = finish(&mut client(), b"some bytes");
            assert_eq!(outcome.code, Some(*code), "{outcome:?}");
        }
    };
    // What is made once and kept is made now.
    round();
    let before = Account::of(&fixture);
    let held = |name| resident(&fixture, name);
    let memory = ["daemon 1", "daemon 2", "agent 1", "agent 2"].map(|name| (name, held(name)));
    let rounds = times("BULKHEAD_CALLS_IN_A_ROW", 70).div_ceil(kinds.len());
    (0..rounds).for_each(|_| round());
    before.comes_back(&fixture);
    for (name, before) in memory {
        let now = held(name);
        println!(
            "{name}: {before} KiB, after {} calls {now} KiB",
            rounds * kinds.len()
        );
        assert!(
            now < before + GROWTH_MAX,
            "{name}: {before} KiB became {now}"
        );
    }
}

#[test]
fn callers_killed_at_any_step_leave_nothing_and_the_next_call_works() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.service("test.Echo", "exec cat");
    let kinds: [&dyn Fn() -> Command; 3] = [
        &|| fixture.dom0_calls("personal", "QUBESRPC test.Echo dom0"),
        &|| fixture.domain_calls(1, "personal", "test.Echo"),
        &|| fixture.domain_calls(1, "dom0", "test.Echo"),
    ];
    let works = || {
        for client in kinds {
            let outcome = finish(&mut client(), b"bytes");
            assert_eq!(
                (outcome.code, outcome.text()),
                (Some(0), "bytes"),
                "{outcome:?}"
            );
        }
    };
    works();
    let before = Account::of(&fixture);
    let daemon = resident(&fixture, "daemon 2");
    for n in 0..times("BULKHEAD_CALLERS_KILLED", 24) {
        let mut caller = start(kinds[n % kinds.len()]());
        // From before its first instruction to the middle of the call.
        std::thread::sleep(Duration::from_micros(n as u64 * 397 % 6000));
        caller.kill().unwrap();
        caller.wait().unwrap();
    }
    works();
    // Whoever uses the port next takes the name that such a caller has left.
    before.processes_come_back(&fixture);
    assert!(resident(&fixture, "daemon 2") < daemon + GROWTH_MAX);
}

#[test]
fn a_flood_of_requests_is_bounded_and_those_past_the_limit_hear_that_it_is_too_much() {
    let fixture = Fixture::without_policy();
    let (release, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    fixture.policy(Box::new(move |_| {
        // Nobody is answered until the test says so.
        let _ = wait.lock().unwrap().recv();
        "result=deny\n".to_owned()
    }));
    let ready = fixture.start_daemon(2, "evil");
    let mut agent = fake_agent(&fixture, 2);
    agent.write_all_blocking(&hello(Version::V4), None).unwrap();
    wait_ready(&ready);
    agent.read_exact_blocking(&mut [0; 12], None).unwrap();
    let before = resident(&fixture, "daemon 2");
    let (mut all, mut too_many) = (0, 0);
    // Until a hundred have heard it.
    while too_many < 100 {
        all += 1;
        let ident = RequestId::numbered(all);
        let trigger = UntrustedTrigger::new("", "work", &ident, "test.True");
        agent
            .write_all_blocking(&trigger.encode(Version::V4).unwrap(), None)
            .unwrap();
        let mut answer = [0; 40];
        if all <= REQUESTS_MAX {
            continue;
        }
        agent.read_exact_blocking(&mut answer, None).unwrap();
        assert_eq!(answer.to_vec(), refused(&ident.field(), Refusal::Busy));
        too_many += 1;
    }
    let during = resident(&fixture, "daemon 2");
    println!(
        "{before} KiB, with {} requests under way {during} KiB",
        all - too_many
    );
    assert!(during < before + GROWTH_MAX, "{before} KiB became {during}");
    drop(release);
    let mut denied = std::collections::BTreeSet::new();
    for _ in 0..REQUESTS_MAX {
        let mut answer = [0; 40];
        agent.read_exact_blocking(&mut answer, None).unwrap();
        denied.insert(answer);
    }
    for n in 1..=REQUESTS_MAX {
        let answer = refused(&RequestId::numbered(n).field(), Refusal::Denied);
        assert!(denied.contains(&answer[..]), "request {n} has no answer");
    }
}

#[test]
fn a_program_in_a_guest_can_tell_too_many_from_refused() {
    let fixture = Fixture::new();
    fixture.start_agent(1);
    let mut daemon = fixture
        .endpoints(0)
        .connect(DomId::new(1).unwrap(), Port::QREXEC, None)
        .unwrap();
    daemon
        .write_all_blocking(&hello(Version::V4), None)
        .unwrap();
    let mut receiver = Receiver::<FromAgent>::new();
    for (why, code, words) in [
        (Refusal::Denied, 126, "Request refused\n"),
        (Refusal::Busy, 125, "too many calls are under way"),
    ] {
        let mut command = fixture.domain_calls(1, "work", "test.True");
        let caller = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let ident = loop {
            match receiver.next().unwrap() {
                Some(Incoming::Message(ToDaemon::Trigger(trigger))) => {
                    break trigger.check().unwrap().ident;
                }
                Some(_) => {}
                None => {
                    let mut bytes = [0; 4096];
                    let len = daemon.read(&mut bytes).unwrap();
                    receiver.push(&bytes[..len]);
                    if len == 0 {
                        daemon.wait(None).unwrap();
                    }
                }
            }
        };
        daemon
            .write_all_blocking(&refused(&ident.field(), why), None)
            .unwrap();
        let output = caller.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
    assert_eq!(BUSY, b"busy");
}

#[test]
fn a_program_in_dom0_can_tell_too_many_from_other_trouble() {
    let fixture = Fixture::new();
    let place = fixture.layout().qrexec_dir().join("qrexec.work");
    let listener = UnixListener::bind(place).unwrap();
    std::thread::spawn(move || {
        for (n, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            stream.write_all(&hello(Version::SOCKET)).unwrap();
            if n == 0 {
                stream.write_all(&busy()).unwrap();
            }
        }
    });
    for words in ["too many calls are under way", "refused the call"] {
        let outcome = finish(&mut fixture.dom0_calls("work", "true"), b"");
        assert_eq!(outcome.code, Some(125));
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
}

#[test]
fn more_clients_than_there_may_be_are_told_so_and_the_others_are_served() {
    allow_many_descriptors().unwrap();
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    let place = fixture.layout().qrexec_dir().join("qrexec.work");
    // All of them before anything is read: the daemon takes many at a time.
    let mut idle: Vec<UnixStream> = (0..4353)
        .map(|_| UnixStream::connect(&place).unwrap())
        .collect();
    let mut told = Vec::new();
    idle.pop().unwrap().read_to_end(&mut told).unwrap();
    assert_eq!(told, [hello(Version::SOCKET), busy()].concat());
    let outcome = finish(&mut fixture.dom0_calls("work", "true"), b"");
    assert!(
        outcome.stderr.contains("too many calls"),
        "{}",
        outcome.stderr
    );
    idle.truncate(4000);
    let begun = Instant::now();
    // The daemon may learn of their going only after our coming.
    while finish(&mut fixture.dom0_calls("work", "exit 3"), b"").code != Some(3) {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
