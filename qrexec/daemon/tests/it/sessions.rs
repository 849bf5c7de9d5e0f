// SPDX-License-Identifier: GPL-3.0-or-later
//! Services that run in a user's session, wait for one, or do without.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{Resource, getrlimit};

use crate::fixture::{Fixture, finish, user, wait_ready};

const TELL: &str = r#"read line; echo "${MARK:-agent} $1 $QREXEC_REMOTE_DOMAIN $line"; exit 7"#;

/// What `service` says when dom0 calls it in `work`.
fn told(fixture: &Arc<Fixture>, service: &str) -> (Option<i32>, String) {
    let mut call = fixture.dom0_calls("work", &format!("QUBESRPC {service} dom0"));
    let outcome = finish(&mut call, b"hello\n");
    (outcome.code, outcome.text().to_owned())
}

#[test]
fn a_call_runs_in_the_session_of_its_user() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.Tell", TELL);
    let expected = |place: &str| (Some(7), format!("{place} a dom0 hello\n"));
    assert_eq!(told(&fixture, "test.Tell+a"), expected("agent"));
    fixture.start_session(1, "session");
    assert_eq!(told(&fixture, "test.Tell+a"), expected("session"));
    let shell = finish(&mut fixture.dom0_calls("work", "echo $MARK; exit 3"), b"");
    assert_eq!((shell.code, shell.text()), (Some(3), "session\n"));
    assert_eq!(told(&fixture, "test.Nothing"), (Some(127), String::new()));
    // A session that has ended leaves its socket behind.
    fixture.kill("session 1");
    assert_eq!(told(&fixture, "test.Tell+a"), expected("agent"));
}

#[test]
fn other_domains_reach_the_session_too_and_ports_come_back() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    fixture.start_session(2, "session");
    fixture.service("test.Tell", TELL);
    // More than there are ports for this pair.
    for _ in 0..130 {
        let mut call = fixture.domain_calls(1, "personal", "test.Tell+a");
        let outcome = finish(&mut call, b"hello\n");
        assert_eq!(
            (outcome.code, outcome.text()),
            (Some(7), "session a work hello\n"),
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn what_needs_no_session_stays_out_of_it() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.start_session(1, "session");
    fixture.service("test.Tell", TELL);
    let mut nogui = fixture.dom0_calls("work", "nogui:QUBESRPC test.Tell+a dom0");
    let outcome = finish(&mut nogui, b"hello\n");
    assert_eq!(outcome.text(), "agent a dom0 hello\n");
    for key in [
        "skip-service-descriptor",
        "exit-on-client-eof",
        "exit-on-service-eof",
    ] {
        fixture.configure("test.Tell", &format!("{key} = true\n"));
        assert_eq!(told(&fixture, "test.Tell+a").1, "agent a dom0 hello\n");
    }
    fixture.configure("test.Tell", &format!("force-user = '{}'\n", user()));
    assert_eq!(told(&fixture, "test.Tell+a").1, "session a dom0 hello\n");
}

#[test]
fn services_have_the_limit_of_descriptors_that_was_there_before_their_agent_raised_it() {
    let fixture = Fixture::new();
    let mut place = Command::new("sh");
    place.args(["-c", "ulimit -Sn 700; exec \"$@\"", "sh"]);
    fixture.start_agent_inside(1, place);
    wait_ready(&fixture.start_daemon(1, "work"));
    fixture.service("test.Limit", "read x; ulimit -Sn; ulimit -Hn");
    let hard = getrlimit(Resource::Nofile).maximum.unwrap();
    let expected = |soft| (Some(0), format!("{soft}\n{hard}\n"));
    assert_eq!(told(&fixture, "test.Limit"), expected(700));
    fixture.start_session_within(1, "session", "-Sn 800");
    assert_eq!(told(&fixture, "test.Limit"), expected(800));
}

#[test]
fn an_agent_may_be_told_to_use_no_session() {
    let fixture = Fixture::new();
    fixture.start_agent_with(1, &["-S"]);
    wait_ready(&fixture.start_daemon(1, "work"));
    fixture.start_session(1, "session");
    fixture.service("test.Tell", TELL);
    assert_eq!(told(&fixture, "test.Tell+a").1, "agent a dom0 hello\n");
}

#[test]
fn a_fork_server_goes_into_the_background_by_itself() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("test.Pid", "echo $MARK $QREXEC_AGENT_PID");
    let mut start = fixture.fork_server(1, "session");
    // Its errors would go on to where ours go.
    let start = start.arg(fixture.session(1, &user())).stderr(Stdio::null());
    assert!(start.status().unwrap().success());
    let (_, text) = told(&fixture, "test.Pid");
    let pid = text.strip_prefix("session ").unwrap().trim();
    let pid = Pid::from_raw(pid.parse().unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
}

/// Calls to `work` that go on until their input ends.
fn open_calls(fixture: &Fixture, count: usize) -> Vec<Child> {
    let open = || {
        let mut call = fixture.dom0_calls("work", "QUBESRPC test.Long dom0");
        call.args(["-w", "1"]).stdin(Stdio::piped());
        call.stdout(Stdio::piped()).stderr(Stdio::null());
        call.spawn().unwrap()
    };
    (0..count).map(|_| open()).collect()
}

#[test]
fn a_session_takes_as_many_calls_as_its_hard_limit_of_descriptors_allows() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.start_session_within(1, "session", "-S -n 64");
    fixture.service("test.Long", "echo $MARK; exec cat");
    for mut call in open_calls(&fixture, 30) {
        let mut line = String::new();
        let output = call.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line, "session\n");
        // The others are still under way.
        std::mem::forget(call.stdin.take());
    }
}

#[test]
fn a_session_that_has_run_out_of_descriptors_takes_calls_again_when_others_have_ended() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.start_session_within(1, "session", "-n 64");
    fixture.service("test.Long", "exec cat");
    fixture.service("test.Tell", TELL);
    let mut calls = open_calls(&fixture, 30);
    let begun = Instant::now();
    while calls
        .iter_mut()
        .all(|call| call.try_wait().unwrap().is_none())
    {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "there was enough"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    for mut call in calls {
        drop(call.stdin.take());
        call.wait().unwrap();
    }
    assert_eq!(told(&fixture, "test.Tell+a").1, "session a dom0 hello\n");
}

#[test]
fn calls_that_wait_for_a_session_run_in_it_once_it_is_there() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    let (waits, goes) = (fixture.path().join("waits"), fixture.path().join("goes"));
    let open = |path: &Path| {
        nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        File::options().read(true).write(true).open(path).unwrap()
    };
    let (said, mut go) = (open(&waits), open(&goes));
    // Says who is waited for, and for whom the call is; then waits for a word.
    let script = format!(
        "read user; echo $user $QREXEC_REMOTE_DOMAIN >{}; read word <{}",
        waits.display(),
        goes.display()
    );
    fixture.service("qubes.WaitForSession", &script);
    fixture.service("test.Tell", TELL);
    fixture.configure("test.Tell", "wait-for-session = true\n");
    std::thread::scope(|scope| {
        let calls = [0; 3].map(|_| scope.spawn(|| told(&fixture, "test.Tell+a")));
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line).unwrap();
        assert_eq!(line, format!("{} dom0\n", user()));
        // The session comes while they wait, and gets them all, however many waitings there were.
        fixture.start_session(1, "session");
        go.write_all(b"go\ngo\ngo\n").unwrap();
        for call in calls {
            assert_eq!(call.join().unwrap().1, "session a dom0 hello\n");
        }
    });
}

#[test]
fn a_service_that_wants_no_graphics_does_not_wait() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    fixture.service("qubes.WaitForSession", "exec sleep 1000");
    fixture.service("test.Tell", TELL);
    fixture.configure("test.Tell", "wait-for-session = 1\n");
    let mut nogui = fixture.dom0_calls("work", "nogui:QUBESRPC test.Tell+a dom0");
    assert_eq!(finish(&mut nogui, b"x\n").text(), "agent a dom0 x\n");
}

#[test]
fn what_a_service_complains_about_is_kept_in_the_guest() {
    let fixture = Fixture::new();
    let log = fixture.system_log();
    fixture.domain(1, "work");
    fixture.service("test.Complain", r"printf 'a\033b\n' >&2; echo c >&2");
    let mut call = fixture.dom0_calls("work", "QUBESRPC test.Complain+x dom0");
    assert_eq!(finish(&mut call, b"").stderr, "a\x1bb\nc\n");
    let next = || {
        let mut bytes = [0; 1024];
        let len = log.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    };
    assert_eq!(next(), r"<13>test.Complain+x-dom0: a\x1bb");
    assert_eq!(next(), "<13>test.Complain+x-dom0: c");
    // Also when nobody is attached to hear it.
    let mut call = fixture.dom0_calls("work", "QUBESRPC test.Complain+y dom0");
    assert_eq!(finish(call.arg("-e"), b"").code, Some(0));
    assert_eq!(next(), r"<13>test.Complain+y-dom0: a\x1bb");
    assert_eq!(next(), "<13>test.Complain+y-dom0: c");
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_up_a_call() {
    let fixture = Fixture::new();
    let _unread = fixture.system_log();
    fixture.domain(1, "work");
    fixture.service("test.Chatter", "yes trouble | head -n 20000 >&2; exit 4");
    let mut call = fixture.dom0_calls("work", "QUBESRPC test.Chatter dom0");
    let outcome = finish(&mut call, b"");
    assert_eq!((outcome.code, outcome.stderr.len()), (Some(4), 160_000));
}

#[test]
fn a_socket_in_the_place_of_a_session_that_says_nothing_ends_with_its_owner() {
    let fixture = Fixture::new();
    fixture.domain(1, "work");
    let listener = UnixListener::bind(fixture.session(1, &user())).unwrap();
    fixture.service("test.Tell", TELL);
    let mut call = fixture.dom0_calls("work", "QUBESRPC test.Tell+a dom0");
    std::thread::scope(|scope| {
        let call = scope.spawn(|| finish(call.args(["-w", "1"]), b""));
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0; 16]).unwrap();
        drop(stream);
        drop(listener);
        let outcome = call.join().unwrap();
        assert_eq!(outcome.code, Some(125), "{}", outcome.stderr);
    });
}
