// SPDX-License-Identifier: GPL-3.0-or-later
//! The process that reads the guest, taken over by it: the test plays it.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use bulkhead_types::{DomId, DomainUuid, Layout, Port};
use bulkhead_vchan::{Endpoints, Transport};
use qrexec_protocol::agent_link::{FromDaemon, Refusal, ToAgent, terminated};
use qrexec_protocol::exec::{Exec, Mode, Route};
use qrexec_protocol::frame::{Incoming, Receiver as Frames, hello};
use qrexec_protocol::session_link::BODY_MAX;
use qrexec_protocol::trigger::{CallRequest, RequestId, UntrustedTrigger};
use qrexec_protocol::version::Version;
use qrexec_relay::{DaemonSocket, Host};

use super::{End, LINE_MAX, Session};
use crate::line::{Line, Word};
use crate::reader::Reader;
use crate::request::Desk;
use crate::{Domain, Options};

/// Far above what any step takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a socket and one turn hold beside the line itself.
const SLACK: usize = 1 << 20;

/// A session whose process is the test.
struct Stage {
    folder: tempfile::TempDir,
    /// The process's end of the line.
    line: UnixStream,
    frames: Frames<FromDaemon>,
    ready: Receiver<Version>,
    end: Receiver<End>,
}

impl Stage {
    fn new() -> Self {
        Self::waiting(PATIENCE)
    }

    /// A session that waits so long for the greeting.
    fn waiting(patience: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::below(folder.path());
        for place in [layout.qrexec_dir(), layout.local_vchan_dir()] {
            std::fs::create_dir_all(place).unwrap();
        }
        let domain = Domain {
            id: DomId::new(7).unwrap(),
            name: "evil".parse().unwrap(),
            uuid: "c0ffee00-1234-4abc-8def-000000000007"
                .parse::<DomainUuid>()
                .unwrap(),
            default_user: "user".into(),
        };
        let options = Options {
            socket_dir: layout.qrexec_dir(),
            policy_program: None,
            layout: layout.clone(),
            start_up: None,
        };
        let channels = Transport::Local(layout.local_vchan_dir());
        let endpoints = Endpoints::new(channels, DomId::DOM0).unwrap();
        let host = Host::dom0(layout.root());
        let desk = Arc::new(Desk::new(domain, options, endpoints, host).unwrap());
        let (line, theirs) = UnixStream::pair().unwrap();
        line.set_read_timeout(Some(PATIENCE)).unwrap();
        let reader = Reader::played(Line::new(theirs).unwrap());
        let (greeted, ready) = channel();
        let (over, end) = channel();
        thread::spawn(move || {
            let mut watch = desk.endpoints.watch(desk.domain.id).unwrap();
            let session = Session::new(desk, reader, Vec::new()).unwrap();
            let mut ready = |version| greeted.send(version).unwrap_or_default();
            let (silence, _quiet) = UnixStream::pair().unwrap();
            let end = session.run(silence.as_fd(), &mut watch, Some(patience), &mut ready);
            over.send(end)
        });
        Self {
            folder,
            line,
            frames: Frames::new(),
            ready,
            end,
        }
    }

    /// A session after the greetings.
    fn greeted() -> Self {
        let mut stage = Self::new();
        stage.say(&Word::Greeted(Version::V4));
        assert_eq!(stage.ready.recv_timeout(PATIENCE), Ok(Version::V4));
        stage
    }

    fn say(&mut self, word: &Word) {
        self.line.write_all(&word.encode()).unwrap();
    }

    fn layout(&self) -> Layout {
        Layout::below(self.folder.path())
    }

    fn socket(&self) -> PathBuf {
        self.layout().qrexec_dir().join("qrexec.evil")
    }

    /// Whether the session was over after a greeting.
    fn is_over(&self) -> bool {
        match self.end.recv_timeout(PATIENCE).unwrap() {
            End::Over { greeted, .. } => greeted,
            other => panic!("{other:?}"),
        }
    }

    /// What the agent would hear next.
    fn hear(&mut self) -> ToAgent {
        loop {
            match self.frames.next().unwrap() {
                Some(Incoming::Message(message)) => return message,
                Some(Incoming::Agreed(_)) => {}
                None => {
                    let mut bytes = [0; 4096];
                    let len = self.line.read(&mut bytes).unwrap();
                    assert_ne!(len, 0, "the session is over");
                    self.frames.push(&bytes[..len]);
                }
            }
        }
    }

    /// A call of dom0's into the domain, as far as its daemon goes.
    fn dom0_calls(&self) -> DaemonSocket {
        let mut daemon = DaemonSocket::connect(&self.socket()).unwrap();
        let exec = Exec {
            mode: Mode::Attached,
            route: route(0),
            command: b"user:true".to_vec(),
        };
        daemon.exec(&exec, PATIENCE).unwrap();
        daemon
    }

    /// Policy that answers nobody until the sender has been used or dropped, and then refuses.
    fn slow_policy(&self) -> Sender<()> {
        let listener = UnixListener::bind(self.layout().policy_socket()).unwrap();
        let (answer, wait) = channel::<()>();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                assert!(lines.take_while(|line| !line.is_empty()).count() > 2);
                let _ = wait.recv();
                let _ = stream.write_all(b"result=deny\n");
            }
        });
        answer
    }
}

fn route(port: u32) -> Route {
    Route {
        domain: DomId::DOM0,
        port: Port(port),
    }
}

fn request(number: u64) -> Word {
    let ident = RequestId::numbered(number);
    let trigger = UntrustedTrigger::new("", "vault", &ident, "test.True");
    Word::Request(trigger.check().unwrap())
}

fn word(kind: u32, body: &[u8]) -> Vec<u8> {
    let len = body.len() as u32;
    [&kind.to_le_bytes()[..], &len.to_le_bytes(), body].concat()
}

#[test]
fn garbage_at_any_step_ends_the_session_and_its_socket() {
    let long = [4u32.to_le_bytes(), (BODY_MAX as u32 + 1).to_le_bytes()].concat();
    let garbage = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 64],
        word(0, b""),
        word(9, b"what"),
        word(1, b"more than nothing"),
        word(2, &7u32.to_le_bytes()),
        word(3, &[0xff; 8]),
        word(3, &[0; 4]),
        word(4, &[0; 20]),
        word(4, &[b'/'; 200]),
        word(5, &4u32.to_le_bytes()),
        Word::Met.encode(),
        long,
    ];
    for bytes in garbage {
        for greeted in [false, true] {
            let stage = if greeted {
                Stage::greeted()
            } else {
                Stage::new()
            };
            assert_eq!(stage.socket().exists(), greeted);
            (&stage.line).write_all(&bytes).unwrap();
            assert_eq!(stage.is_over(), greeted, "{}", bytes.escape_ascii());
            assert!(!stage.socket().exists());
        }
    }
}

#[test]
fn words_out_of_turn_end_the_session() {
    for early in [request(1), Word::Terminated(route(513)), Word::Met] {
        let mut stage = Stage::new();
        stage.say(&early);
        assert!(!stage.is_over(), "{early:?} before the greeting");
    }
    for late in [Word::Met, Word::Greeted(Version::V4)] {
        let mut stage = Stage::greeted();
        stage.say(&late);
        assert!(stage.is_over(), "{late:?} after the greeting");
    }
}

#[test]
fn who_says_that_the_agent_is_too_old_names_a_version_that_is() {
    let mut stage = Stage::new();
    let too_old = Version::agree(Version::OWN, Version::V2, 1).unwrap_err();
    stage.say(&Word::Over(Some(too_old)));
    let end = stage.end.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(end, End::TooOld(versions) if versions == too_old));
}

#[test]
fn silence_before_the_greeting_does_not_last() {
    let stage = Stage::waiting(Duration::from_millis(50));
    assert!(!stage.is_over());
    // Nor does half a word, or one byte after the other, which is as good as silence.
    let stage = Stage::waiting(Duration::from_millis(50));
    let greeting = Word::Greeted(Version::V4).encode();
    (&stage.line).write_all(&greeting[..11]).unwrap();
    assert!(!stage.is_over());
}

#[test]
fn half_a_word_holds_nobody_up() {
    let mut stage = Stage::greeted();
    let whole = request(1).encode();
    (&stage.line).write_all(&whole[..30]).unwrap();
    let call = stage.dom0_calls();
    assert!(matches!(stage.hear(), ToAgent::Exec(_)));
    (&stage.line).write_all(&whole[30..]).unwrap();
    // There is no policy, so that much is refused.
    let refused = stage.hear();
    assert!(matches!(refused, ToAgent::Refused(ref id, _) if *id == RequestId::numbered(1)));
    drop(call);
}

#[test]
fn death_at_each_step_ends_the_session_and_frees_who_waited() {
    let part = request(2).encode()[..50].to_vec();
    for last in [vec![], part, request(3).encode()] {
        let stage = Stage::greeted();
        let policy = stage.slow_policy();
        (&stage.line).write_all(&request(1).encode()).unwrap();
        let mut call = stage.dom0_calls();
        (&stage.line).write_all(&last).unwrap();
        let Stage { line, end, .. } = stage;
        drop(line);
        // Its end tells the caller that the call is over.
        call.wait_for_end();
        let end = end.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(end, End::Over { greeted: true, .. }), "{end:?}");
        drop(policy);
    }
    let stage = Stage::new();
    let Stage { line, end, .. } = stage;
    drop(line);
    let end = end.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(end, End::Over { greeted: false, .. }), "{end:?}");
}

#[test]
fn a_flood_of_words_leaves_room_for_others() {
    let mut stage = Stage::greeted();
    let flood = stage.line.try_clone().unwrap();
    let flooding = thread::spawn(move || {
        let words = Word::Terminated(route(4000)).encode().repeat(1000);
        // Until the line is closed.
        while (&flood).write_all(&words).is_ok() {}
    });
    for _ in 0..20 {
        let call = stage.dom0_calls();
        let heard = stage.hear();
        assert!(
            matches!(heard, ToAgent::Exec(_) | ToAgent::CallerGone(_)),
            "{heard:?}"
        );
        drop(call);
    }
    stage.line.shutdown(std::net::Shutdown::Both).unwrap();
    assert!(stage.is_over());
    flooding.join().unwrap();
}

#[test]
fn who_asks_and_never_reads_is_heard_no_more_until_it_reads() {
    let mut stage = Stage::greeted();
    let policy = stage.slow_policy();
    stage.say(&request(0));
    stage.line.set_nonblocking(true).unwrap();
    // The same id again and again, of which each is refused at once.
    let word = request(0).encode();
    let (mut sent, mut quiet) = (0, 0);
    let mut left: &[u8] = &[];
    while quiet < 30 {
        if left.is_empty() {
            left = &word;
        }
        match (&stage.line).write(left) {
            Ok(len) => {
                left = &left[len..];
                sent += len;
                quiet = 0;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                quiet += 1;
                // Nothing tells that the other side will not read any more.
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
        let answers = sent / word.len() * 40;
        assert!(answers < LINE_MAX + SLACK, "the session takes everything");
    }
    let asked = sent / word.len();
    stage.line.set_nonblocking(false).unwrap();
    // Then each has its answer, and the first still waits for policy.
    for _ in 1..asked {
        let heard = stage.hear();
        assert!(
            matches!(heard, ToAgent::Refused(_, Refusal::Denied)),
            "{heard:?}"
        );
    }
    (&stage.line).write_all(left).unwrap();
    drop(policy);
    let call = stage.dom0_calls();
    while !matches!(stage.hear(), ToAgent::Exec(_)) {}
    drop(call);
}

#[test]
fn who_closes_its_ears_harms_nobody_and_goes_when_it_goes() {
    let mut stage = Stage::greeted();
    stage.line.shutdown(std::net::Shutdown::Read).unwrap();
    let calls: Vec<DaemonSocket> = (0..50).map(|_| stage.dom0_calls()).collect();
    stage.say(&Word::Terminated(route(513)));
    stage.say(&Word::Over(None));
    assert!(stage.is_over());
    for mut call in calls {
        call.wait_for_end();
    }
}

#[test]
fn what_it_asks_for_is_what_its_guest_may_ask_for() {
    let mut stage = Stage::greeted();
    // No text that a guest could not have had checked, whoever claims to have checked it.
    let CallRequest { ident, .. } = match request(1) {
        Word::Request(request) => request,
        other => panic!("{other:?}"),
    };
    let mut body = vec![0; 128];
    body[64..69].copy_from_slice(b"a\n=b/");
    body.extend(ident.field());
    body.extend(b"test.True+\nresult=allow");
    let listener = UnixListener::bind(stage.layout().policy_socket()).unwrap();
    (&stage.line).write_all(&word(4, &body)).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let question: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    assert!(question.contains(&"source=evil".to_owned()), "{question:?}");
    let target = "intended_target=a__b_".to_owned();
    assert!(question.contains(&target), "{question:?}");
    let service = "service_and_arg=test.True+_result_allow".to_owned();
    assert!(question.contains(&service), "{question:?}");
    stream.write_all(b"result=deny\n").unwrap();
    drop(stream);
    assert!(matches!(stage.hear(), ToAgent::Refused(..)));
}

#[test]
fn a_daemon_that_says_its_caller_has_gone_is_believed_for_its_own_call_alone() {
    let mut stage = Stage::greeted();
    let started = |stage: &mut Stage, daemon: &mut DaemonSocket| {
        let asked = Route {
            domain: DomId::new(9).unwrap(),
            port: Port(0),
        };
        let exec = Exec {
            mode: Mode::Attached,
            route: asked,
            command: b"user:true".to_vec(),
        };
        let told = daemon.exec(&exec, PATIENCE).unwrap();
        assert!(matches!(stage.hear(), ToAgent::Exec(exec) if exec.route.port == told.port));
        Route {
            port: told.port,
            ..asked
        }
    };
    let connect = |stage: &Stage| DaemonSocket::connect(&stage.socket()).unwrap();
    let (mut stays, mut goes) = (connect(&stage), connect(&stage));
    let other = started(&mut stage, &mut stays);
    let route = started(&mut stage, &mut goes);
    // Whatever route it names, only its own call is meant.
    goes.caller_gone(other);
    assert_eq!(stage.hear(), ToAgent::CallerGone(route));
    // Before a call it is nonsense.
    let mut stream = UnixStream::connect(stage.socket()).unwrap();
    let bytes = [hello(Version::SOCKET), terminated(other)].concat();
    stream.write_all(&bytes).unwrap();
    let mut answer = Vec::new();
    // What was not read yet makes a reset of the end.
    let _ = stream.read_to_end(&mut answer);
    assert!(hello(Version::SOCKET).starts_with(&answer));
    drop(stays);
}

#[test]
fn a_client_that_names_a_port_and_goes_does_not_free_it_for_others() {
    let mut stage = Stage::greeted();
    let dom0 = |port| Exec {
        mode: Mode::Attached,
        route: Route {
            domain: DomId::DOM0,
            port: Port(port),
        },
        command: b"user:true".to_vec(),
    };
    let connect = |stage: &Stage| DaemonSocket::connect(&stage.socket()).unwrap();
    let mut first = connect(&stage);
    let taken = first.exec(&dom0(0), PATIENCE).unwrap().port;
    assert!(matches!(stage.hear(), ToAgent::Exec(exec) if exec.route.port == taken));
    let mut stream = UnixStream::connect(stage.socket()).unwrap();
    let bytes = [hello(Version::SOCKET), dom0(taken.0).encode()].concat();
    stream.write_all(&bytes).unwrap();
    drop(stream);
    let mut next = connect(&stage);
    assert_ne!(next.exec(&dom0(0), PATIENCE).unwrap().port, taken);
    drop(first);
}
