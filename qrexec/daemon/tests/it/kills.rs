// SPDX-License-Identifier: GPL-3.0-or-later
//! Daemons and agents that are killed while calls are under way.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bulkhead_types::{DomId, Port};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qrexec_protocol::client_link::{Accepted, Command as Client, FromClient};
use qrexec_protocol::exec::{Exec, Mode, Route};
use qrexec_protocol::frame::{self, Incoming, Receiver, hello};
use qrexec_protocol::limits::CONTROL_RING;
use qrexec_protocol::trigger::{RequestId, UntrustedTrigger};
use qrexec_protocol::version::Version;
use qrexec_relay::DaemonSocket;

use crate::account::{Account, times};
use crate::confinement::reader;
use crate::faults::{greeted_agent, next_message};
use crate::fixture::{Fixture, Outcome, allow, finish, user, wait_ready};
use crate::timing::{self, Ended};

/// What has to come back of a call that policy allows, if it succeeds at all.
const BYTES: &[u8] = b"some bytes";

fn all_but_vault(question: &HashMap<String, String>) -> String {
    if question["intended_target"] == "vault" {
        "result=deny\n".to_owned()
    } else {
        allow(question)
    }
}

/// A kind of call, and whether policy allows it.
type Kind = (fn(&Fixture) -> Command, bool);

const KINDS: [Kind; 5] = [
    (
        |f| f.dom0_calls("personal", "QUBESRPC test.Echo dom0"),
        true,
    ),
    (|f| f.domain_calls(1, "personal", "test.Echo"), true),
    (|f| f.domain_calls(2, "work", "test.Echo"), true),
    (|f| f.domain_calls(1, "dom0", "test.Echo"), true),
    (|f| f.domain_calls(1, "vault", "test.Echo"), false),
];

/// A call ends with what it was made for, or with an error; what is refused never succeeds.
fn check(outcome: &Outcome, allowed: bool) -> bool {
    let succeeded = outcome.code == Some(0);
    if succeeded {
        assert!(allowed, "a refused call has succeeded: {outcome:?}");
        assert_eq!(outcome.stdout, BYTES, "{outcome:?}");
    } else {
        assert!(outcome.stdout.is_empty() || BYTES.starts_with(&outcome.stdout));
        assert!(
            !outcome.stderr.is_empty(),
            "an error without a word: {outcome:?}"
        );
    }
    succeeded
}

#[test]
fn whatever_is_killed_under_load_no_call_is_wrongly_allowed_and_the_service_comes_back() {
    let fixture = Fixture::without_policy();
    fixture.policy(Box::new(all_but_vault));
    let notices = HashMap::from([
        (1, fixture.domain(1, "work")),
        (2, fixture.domain(2, "personal")),
    ]);
    fixture.service("test.Echo", "exec cat");
    for (client, allowed) in KINDS {
        assert_eq!(
            check(&finish(&mut client(&fixture), BYTES), allowed),
            allowed
        );
    }
    let before = Account::of(&fixture);
    let over = AtomicBool::new(false);
    let calls = Mutex::new(Vec::new());
    let mut kills = Vec::new();
    let mut away = Duration::ZERO;
    let load = |first: usize| {
        for n in first.. {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let (client, allowed) = KINDS[n % KINDS.len()];
            let begun = Instant::now();
            let outcome = finish(&mut client(&fixture), BYTES);
            let ended = Instant::now();
            let good = check(&outcome, allowed);
            calls.lock().unwrap().push(Ended {
                begun,
                ended,
                good,
                queued: outcome.queued,
            });
        }
    };
    thread::scope(|scope| {
        let load = &load;
        (0..3).for_each(|first| drop(scope.spawn(move || load(first))));
        let mut random: u32 = 2_463_534_242;
        for _ in 0..times("BULKHEAD_DAEMONS_KILLED", 40) {
            random ^= random << 13;
            random ^= random >> 17;
            random ^= random << 5;
            thread::sleep(Duration::from_micros(u64::from(random >> 8) % 20_000));
            let id = 1 + random % 2;
            let begun = Instant::now();
            match random >> 2 & 3 {
                0 => {
                    let reader = reader(&fixture, &format!("daemon {id}"));
                    kill(Pid::from_raw(reader), Signal::SIGKILL).unwrap();
                }
                1 => {
                    fixture.kill(&format!("daemon {id}"));
                    fixture.start_daemon_again(id, ["work", "personal"][id as usize - 1]);
                }
                _ => {
                    fixture.kill(&format!("agent {id}"));
                    fixture.start_agent(id);
                }
            }
            wait_ready(&notices[&id]);
            away = away.max(begun.elapsed());
            kills.push(begun);
        }
        over.store(true, Ordering::Relaxed);
    });
    println!("back after {} ms at the latest", away.as_millis());
    timing::print(&calls.into_inner().unwrap(), &kills);
    for (client, allowed) in KINDS {
        assert_eq!(
            check(&finish(&mut client(&fixture), BYTES), allowed),
            allowed
        );
    }
    before.processes_come_back(&fixture);
}

#[test]
fn a_caller_whose_target_dies_before_it_comes_does_not_wait_for_long() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    // An agent that takes calls and never connects to anybody.
    let ready = fixture.start_daemon(2, "personal");
    let mut agent = greeted_agent(&fixture, 2, &ready, CONTROL_RING);
    let calls = [
        fixture.domain_calls(1, "personal", "test.Echo"),
        fixture.dom0_calls("personal", "QUBESRPC test.Echo dom0"),
    ];
    let waiting: Vec<_> = calls
        .into_iter()
        .map(|mut call| thread::spawn(move || finish(&mut call, b"")))
        .collect();
    // Both have been passed on; the callers wait for the agent now.
    for _ in 0..2 {
        next_message(&mut agent);
    }
    drop(agent);
    for call in waiting {
        let outcome = call.join().unwrap();
        assert_ne!(outcome.code, Some(0));
        assert!(
            outcome
                .stderr
                .contains("the other domain closed the connection"),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_caller_in_dom0_whose_daemon_dies_does_not_wait_for_long() {
    let fixture = Fixture::new();
    let ready = fixture.start_daemon(2, "personal");
    let mut agent = greeted_agent(&fixture, 2, &ready, CONTROL_RING);
    let mut call = fixture.dom0_calls("personal", "QUBESRPC test.Echo dom0");
    let waiting = thread::spawn(move || finish(call.args(["-w", "0"]), b""));
    next_message(&mut agent);
    fixture.kill("daemon 2");
    assert_ne!(waiting.join().unwrap().code, Some(0));
}

/// Has a service started in `personal` for a caller in dom0 who does not come.
fn asked_for_in_dom0(fixture: &Fixture) -> DaemonSocket {
    let socket = fixture.layout().qrexec_dir().join("qrexec.personal");
    let mut daemon = DaemonSocket::connect(&socket).unwrap();
    let exec = Exec {
        mode: Mode::Attached,
        route: Route {
            domain: DomId::DOM0,
            port: Port(0),
        },
        command: format!("{}:QUBESRPC test.Echo dom0", user()).into_bytes(),
    };
    daemon.exec(&exec, Duration::from_secs(60)).unwrap();
    daemon
}

/// The same for a caller in `work`, wherever the service is to run.
fn asked_for_in_work(fixture: &Fixture, target: &str) -> UnixStream {
    let ident = RequestId::numbered(1);
    let trigger = UntrustedTrigger::new("", target, &ident, "test.Echo");
    let mut agent = UnixStream::connect(fixture.agent_socket(1)).unwrap();
    agent
        .write_all(&trigger.encode(Version::V4).unwrap())
        .unwrap();
    agent.read_exact(&mut [0; 8]).unwrap();
    agent
}

#[test]
fn nobody_waits_for_a_caller_that_died_before_it_came() {
    for session in [false, true] {
        let fixture = Fixture::new();
        fixture.domain(1, "work");
        fixture.domain(2, "personal");
        fixture.service("test.Echo", "exec cat");
        if session {
            fixture.start_session(2, "there");
        }
        // What is made once and kept is made now.
        for (client, allowed) in &KINDS[..4] {
            assert!(check(&finish(&mut client(&fixture), BYTES), *allowed));
        }
        let before = Account::of(&fixture);
        for _ in 0..10 {
            drop(asked_for_in_dom0(&fixture));
            drop(asked_for_in_work(&fixture, "personal"));
            drop(asked_for_in_work(&fixture, "dom0"));
        }
        let begun = Instant::now();
        before.comes_back(&fixture);
        println!("all given up after {} ms", begun.elapsed().as_millis());
        let log = fixture.log(if session { "session 2" } else { "agent 2" });
        assert!(log.contains("domain 0 is not going to open port"), "{log}");
        assert!(log.contains("domain 1 is not going to open port"), "{log}");
        let log = fixture.log("daemon 1");
        assert!(log.contains("domain 1 is not going to open port"), "{log}");
    }
}

#[test]
fn an_agent_whose_daemon_dies_does_not_wait_for_callers() {
    let fixture = Fixture::new();
    let ready = fixture.domain(2, "personal");
    fixture.service("test.Echo", "exec cat");
    let (client, _) = KINDS[0];
    assert!(check(&finish(&mut client(&fixture), BYTES), true));
    let before = Account::of(&fixture);
    let waiting = asked_for_in_dom0(&fixture);
    fixture.kill("daemon 2");
    fixture.start_daemon_again(2, "personal");
    wait_ready(&ready);
    before.comes_back(&fixture);
    drop(waiting);
    assert!(check(&finish(&mut client(&fixture), BYTES), true));
}

#[test]
fn the_daemon_of_a_caller_that_has_gone_says_so_to_the_daemon_of_its_target() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    // The target's daemon is played.
    let socket = fixture.layout().qrexec_dir().join("qrexec.personal");
    let listener = UnixListener::bind(socket).unwrap();
    let route = Route {
        domain: DomId::new(2).unwrap(),
        port: Port(514),
    };
    let daemon = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&hello(Version::SOCKET)).unwrap();
        let mut commands = Receiver::<FromClient>::new();
        let mut heard = Vec::new();
        loop {
            let mut bytes = [0; 256];
            let len = stream.read(&mut bytes).unwrap();
            if len == 0 {
                return heard;
            }
            commands.push(&bytes[..len]);
            while let Some(incoming) = commands.next().unwrap() {
                if let Incoming::Message(Client::Exec(_)) = incoming {
                    let kind = frame::Kind::ExecCmdline;
                    let answer = Accepted { kind, route }.encode();
                    stream.write_all(&answer).unwrap();
                }
                let gone = matches!(incoming, Incoming::Message(Client::CallerGone(_)));
                heard.push(incoming);
                if gone {
                    return heard;
                }
            }
        }
    });
    drop(asked_for_in_work(&fixture, "personal"));
    let heard = daemon.join().unwrap();
    let last = Incoming::Message(Client::CallerGone(route));
    assert_eq!(heard.last(), Some(&last), "{heard:?}");
}
