// SPDX-License-Identifier: GPL-3.0-or-later
//! Arguments of every size, from every side to every side.
//!
//! A normal run takes all sizes near a boundary and some between; `BULKHEAD_EVERY_SIZE=1` takes all.

use std::any::Any;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use bulkhead_types::{DomId, Port};
use bulkhead_vchan::Vchan;
use qrexec_client::{announce, meet};
use qrexec_protocol::agent_link::terminated;
use qrexec_protocol::exec::{Exec, Mode, Route};
use qrexec_protocol::limits::{CONTROL_RING, HEADER_LEN, SERVICE_FIELD_MAX};
use qrexec_protocol::trigger::{RequestId, UntrustedTrigger};
use qrexec_protocol::version::Version;
use qrexec_relay::{DaemonError, DaemonSocket, Local, Orders, Sink, call};

use crate::faults::{greeted_agent, hung_up, next_message};
use crate::fixture::{Fixture, user};

const SERVICE: &str = "test.Size+";
/// The longest argument that a message can carry.
const LONGEST: usize = SERVICE_FIELD_MAX - SERVICE.len() - 1;
const ALL: usize = 65_000;
/// Far above what any step takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rings that take a whole message of any size.
const ROOMY: usize = 1 << 17;

/// The domains: one whose agent minds no limit, and two with ours.
const HOSTILE: u32 = 1;
const TARGET: u32 = 2;
const OTHER: u32 = 3;

/// From whom to whom.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Dom0ToGuest,
    HostileToGuest,
    HostileToDom0,
    GuestToGuest,
    GuestToDom0,
}

const WAYS: [Way; 5] = [
    Way::Dom0ToGuest,
    Way::HostileToGuest,
    Way::HostileToDom0,
    Way::GuestToGuest,
    Way::GuestToDom0,
];

fn service(size: usize) -> String {
    format!("{SERVICE}{}", "a".repeat(size))
}

impl Way {
    fn source(self) -> u32 {
        match self {
            Self::Dom0ToGuest => 0,
            Self::HostileToGuest | Self::HostileToDom0 => HOSTILE,
            Self::GuestToGuest | Self::GuestToDom0 => OTHER,
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::HostileToDom0 | Self::GuestToDom0 => "dom0",
            _ => "target",
        }
    }

    fn command(self, size: usize) -> Vec<u8> {
        let source = ["dom0", "hostile", "target", "other"][self.source() as usize];
        format!("{}:QUBESRPC {} {source}", user(), service(size)).into_bytes()
    }

    /// Whether the call can be made: each message has to fit the control channel of an old agent,
    /// except those that an agent of its own making sends.
    fn fits(self, size: usize) -> bool {
        let exec = Exec {
            mode: Mode::Attached,
            route: Route {
                domain: DomId::DOM0,
                port: Port(0),
            },
            command: self.command(size),
        };
        let trigger = UntrustedTrigger::new("", "", &RequestId::numbered(1), &service(size));
        let exec = exec.encode().len() - HEADER_LEN;
        let trigger = trigger.encode(Version::V4).unwrap().len() - HEADER_LEN;
        (self.target() == "dom0" || exec <= CONTROL_RING)
            && (self.source() != OTHER || trigger <= CONTROL_RING)
            && size <= LONGEST
    }
}

/// Whoever arranged a call, to be kept until it is over.
type Helper = Box<dyn Any>;

struct Stage {
    fixture: Arc<Fixture>,
    ready: UnixDatagram,
    agent: Vchan,
    requests: u64,
    /// The arguments that the service has been given.
    served: mpsc::Receiver<String>,
}

impl Stage {
    fn new() -> Self {
        let fixture = Fixture::new();
        let ready = fixture.start_daemon(HOSTILE, "hostile");
        let agent = greeted_agent(&fixture, HOSTILE, &ready, ROOMY);
        fixture.domain(TARGET, "target");
        fixture.domain(OTHER, "other");
        let listener = UnixListener::bind(fixture.path().join("services/test.Size")).unwrap();
        let (serve, served) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut line = Vec::new();
                BufReader::new(stream.unwrap())
                    .read_until(0, &mut line)
                    .unwrap();
                let words = String::from_utf8(line).unwrap();
                let argument = words.strip_prefix(SERVICE).unwrap();
                let (argument, _) = argument.split_once(' ').unwrap();
                if serve.send(argument.to_owned()).is_err() {
                    return;
                }
            }
        });
        Self {
            fixture,
            ready,
            agent,
            requests: 0,
            served,
        }
    }

    /// Makes a call; the size of the argument that arrived, or `None` when it was refused.
    fn make(&mut self, way: Way, size: usize) -> Option<usize> {
        let (route, helper) = self.ask(way, size)?;
        let endpoints = self.fixture.endpoints(way.source());
        let vchan = announce(&endpoints, route.domain, route.port).unwrap();
        let channel = meet(Version::OWN, vchan, Orders::None, Some(PATIENCE)).unwrap();
        let local = Local {
            input: None,
            back: None,
            prefix: Vec::new(),
            output: Sink::nothing(),
            errors: Sink::nothing(),
            process: None,
        };
        assert_eq!(call(channel, local, Orders::None).unwrap().remote, 0);
        if way.source() == HOSTILE {
            let over = terminated(route);
            self.agent.write_all_blocking(&over, None).unwrap();
        }
        drop(helper);
        let argument = self.served.recv_timeout(PATIENCE).unwrap();
        assert!(argument.bytes().all(|byte| byte == b'a'));
        Some(argument.len())
    }

    fn ask(&mut self, way: Way, size: usize) -> Option<(Route, Helper)> {
        self.requests += 1;
        let ident = RequestId::numbered(self.requests);
        let trigger = UntrustedTrigger::new("", way.target(), &ident, &service(size));
        let trigger = trigger.encode(Version::V4).unwrap();
        match way.source() {
            0 => self.ask_daemon(way.command(size)),
            HOSTILE => self.ask_as_agent(&ident, &trigger),
            _ => self.ask_agent(&trigger),
        }
    }

    fn ask_daemon(&self, command: Vec<u8>) -> Option<(Route, Helper)> {
        let socket = self.fixture.layout().qrexec_dir().join("qrexec.target");
        let mut daemon = DaemonSocket::connect(&socket).unwrap();
        let exec = Exec {
            mode: Mode::Attached,
            route: Route {
                domain: DomId::DOM0,
                port: Port(0),
            },
            command,
        };
        match daemon.exec(&exec, PATIENCE) {
            Ok(route) => Some((route, Box::new(daemon))),
            // Whoever hangs up on what was not read yet says so by a reset.
            Err(DaemonError::Refused(_) | DaemonError::Socket { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn ask_as_agent(&mut self, ident: &RequestId, trigger: &[u8]) -> Option<(Route, Helper)> {
        let longest = HEADER_LEN + 160 + SERVICE_FIELD_MAX;
        if trigger.len() > longest {
            // No refusal: such a message costs the session.
            let _ = self.agent.write_all_blocking(trigger, None);
            hung_up(&mut self.agent);
            self.agent = greeted_agent(&self.fixture, HOSTILE, &self.ready, ROOMY);
            return None;
        }
        self.agent.write_all_blocking(trigger, None).unwrap();
        // What is still said about earlier calls does not matter.
        loop {
            let body = next_message(&mut self.agent);
            if body.starts_with(ident.as_str().as_bytes()) {
                return None;
            }
            if let Some((route, field)) = body.split_at_checked(8)
                && field.starts_with(ident.as_str().as_bytes())
            {
                return Some((Route::decode(route).unwrap(), Box::new(())));
            }
        }
    }

    fn ask_agent(&self, trigger: &[u8]) -> Option<(Route, Helper)> {
        let mut agent = UnixStream::connect(self.fixture.agent_socket(OTHER)).unwrap();
        // What is too long is dropped before all of it has been written.
        let _ = agent.write_all(trigger);
        let mut answer = [0; 8];
        agent.read_exact(&mut answer).ok()?;
        Some((Route::decode(&answer).unwrap(), Box::new(agent)))
    }
}

fn every_size() -> bool {
    std::env::var_os("BULKHEAD_EVERY_SIZE").is_some()
}

/// All sizes near one at which something changes, and some between.
fn sizes() -> BTreeSet<usize> {
    if every_size() {
        return (0..=ALL).collect();
    }
    let last = |way: Way| (0..=LONGEST).rev().find(|size| way.fits(*size)).unwrap();
    let file_name = 255 - SERVICE.len();
    let powers = (0..16).map(|power| 1 << power);
    let near: BTreeSet<usize> = powers.chain([file_name]).chain(WAYS.map(last)).collect();
    let near = near.into_iter().flat_map(|size| size - 1..=size + 1);
    near.chain((0..ALL).step_by(1999)).chain([ALL]).collect()
}

#[test]
fn an_argument_of_any_size_arrives_or_is_refused_and_each_daemon_answers_the_next_call() {
    let mut stage = Stage::new();
    let (mut made, mut refused) = (0, 0);
    for size in sizes() {
        for way in WAYS {
            let arrived = stage.make(way, size);
            assert_eq!(arrived, way.fits(size).then_some(size), "{way:?} {size}");
            if arrived.is_some() {
                made += 1;
            } else {
                refused += 1;
            }
        }
        // Where all sizes are taken, most of the next calls are those of the next size.
        if !every_size() || size % 100 == 0 {
            for way in [Way::Dom0ToGuest, Way::HostileToDom0, Way::GuestToGuest] {
                assert_eq!(stage.make(way, 3), Some(3), "{way:?} after {size}");
            }
        }
    }
    println!("{made} arguments have arrived, {refused} were refused");
    for (name, _) in stage.fixture.running() {
        // Nobody fills the log with an argument.
        let log = stage.fixture.log(&name);
        assert!(log.lines().all(|line| line.len() < 500), "{name}");
    }
}
