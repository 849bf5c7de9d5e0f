// SPDX-License-Identifier: GPL-3.0-or-later
//! Calls between two domains that the policy daemon wants ended.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_types::DomId;
use bulkhead_vchan::Vchan;
use qrexec_protocol::agent_link::end_call;
use qrexec_protocol::agent_socket::ENDED;
use qrexec_protocol::exec::Route;
use qrexec_protocol::limits::{CONTROL_RING, HEADER_LEN};
use qrexec_protocol::trigger::{RequestId, UntrustedTrigger};
use qrexec_protocol::under_way::Notice;
use qrexec_protocol::version::Version;
use qrexec_relay::Channel;

use crate::faults::{greeted_agent, next_message};
use crate::fixture::{Fixture, finish, wait_ready};
use crate::reports::{Ends, done, end, heard, machine, next};

const PATIENCE: Duration = Duration::from_secs(60);

/// A caller in `work`, and the process of the service in `personal`, which both would go on for ever.
struct Call {
    caller: Child,
    service: u32,
}

impl Call {
    fn begin(fixture: &Fixture) -> Self {
        fixture.service("test.Forever", "echo $$; exec sleep 1000");
        let mut caller = fixture.domain_calls(1, "personal", "test.Forever");
        let caller = caller
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut caller = caller.spawn().unwrap();
        let mut line = String::new();
        let output = caller.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let service = line.trim().parse().unwrap();
        Self { caller, service }
    }

    /// The caller's last words, once it has ended as one that was refused.
    fn last_words(&mut self) -> String {
        let mut text = String::new();
        let errors = self.caller.stderr.as_mut().unwrap();
        errors.read_to_string(&mut text).unwrap();
        assert_eq!(self.caller.wait().unwrap().code(), Some(126), "{text}");
        text
    }

    fn service_ends(&self) {
        let begun = Instant::now();
        while Path::new(&format!("/proc/{}", self.service)).exists() {
            assert!(begun.elapsed() < PATIENCE, "the service runs on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Two domains, of which `work` may call whatever it likes, under the number 7.
fn two_domains() -> (Arc<Fixture>, UnixListener, Ends) {
    let (fixture, listener, ends) = machine();
    fixture.domain(1, "work");
    fixture.domain(2, "personal");
    (fixture, listener, ends)
}

fn order_end(lines: &mut BufReader<UnixStream>) {
    writeln!(lines.get_mut(), "end 7 the grant has ended").unwrap();
}

#[test]
fn the_agents_of_both_domains_end_a_call_and_its_port_serves_the_next() {
    let (fixture, listener, ends) = two_domains();
    let mut call = Call::begin(&fixture);
    let mut lines = heard(&listener);
    order_end(&mut lines);
    assert_eq!(
        call.last_words(),
        "error: the call of test.Forever in personal failed\n\
         caused by: the call was cut off before the service's exit code came\n\
         caused by: the permission for it has ended\n"
    );
    call.service_ends();
    done(&mut lines);
    assert_eq!(end(&ends)["how"], "the grant has ended");
    fixture.service("test.Echo", "exec cat");
    let mut next = fixture.domain_calls(1, "personal", "test.Echo");
    assert_eq!(finish(&mut next, b"again").text(), "again");
}

#[test]
fn a_service_in_a_users_session_is_ended_too() {
    let (fixture, listener, ends) = two_domains();
    fixture.start_session(2, "there");
    let mut call = Call::begin(&fixture);
    order_end(&mut heard(&listener));
    call.last_words();
    call.service_ends();
    assert_eq!(end(&ends)["how"], "the grant has ended");
}

#[test]
fn a_service_that_takes_no_notice_is_killed() {
    let (fixture, listener, ends) = two_domains();
    fixture.service(
        "test.Deaf",
        "trap '' TERM; echo $$; while :; do sleep 1; done",
    );
    let mut caller = fixture.domain_calls(1, "personal", "test.Deaf");
    let mut caller = caller
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = caller.stdout.as_mut().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    order_end(&mut heard(&listener));
    assert_eq!(end(&ends)["how"], "the grant has ended");
    let service = line.trim().parse().unwrap();
    Call { caller, service }.service_ends();
}

#[test]
fn an_agent_that_came_again_meanwhile_does_not_keep_the_call_of_the_first() {
    let (fixture, listener, ends) = machine();
    let ready = fixture.domain(1, "work");
    fixture.domain(2, "personal");
    let mut call = Call::begin(&fixture);
    fixture.kill("agent 1");
    fixture.start_agent(1);
    wait_ready(&ready);
    order_end(&mut heard(&listener));
    call.service_ends();
    assert_eq!(end(&ends)["how"], "the grant has ended");
    // Its agent has gone, but the channel has been closed.
    assert_ne!(call.caller.wait().unwrap().code(), Some(0));
}

#[test]
fn the_daemon_of_the_caller_is_enough_while_its_agent_is_away() {
    let (fixture, listener, _ends) = two_domains();
    let call = Call::begin(&fixture);
    fixture.kill("agent 1");
    order_end(&mut heard(&listener));
    call.service_ends();
    let mut caller = call.caller;
    assert_ne!(caller.wait().unwrap().code(), Some(0));
}

/// Takes a call as the agent of `personal`, and meets the caller.
fn take_call(fixture: &Fixture, agent: &mut Vchan) -> (Route, Channel) {
    let route = Route::decode(&next_message(agent)).unwrap();
    let Route { domain, port } = route;
    let endpoints = fixture.endpoints(2);
    let vchan = endpoints.connect(domain, port, Some(PATIENCE)).unwrap();
    let channel = Channel::open(vchan, Instant::now() + PATIENCE).unwrap();
    (route, channel)
}

#[test]
fn a_caller_ends_although_the_services_domain_disobeys_and_that_is_recorded() {
    let (fixture, listener, ends) = machine();
    fixture.domain(1, "work");
    let ready = fixture.start_daemon(2, "personal");
    let mut agent = greeted_agent(&fixture, 2, &ready, CONTROL_RING);
    let mut caller = fixture.domain_calls(1, "personal", "test.Forever");
    let caller = caller.stdin(Stdio::piped()).stderr(Stdio::piped());
    let caller = caller.spawn().unwrap();
    let (route, mut channel) = take_call(&fixture, &mut agent);
    let mut lines = heard(&listener);
    order_end(&mut lines);
    let told = next_message(&mut agent);
    assert_eq!(told, end_call(route)[HEADER_LEN..]);
    let mut call = Call { caller, service: 0 };
    call.last_words();
    assert!(channel.peer_gone());
    done(&mut lines);
    assert_eq!(
        end(&ends)["how"],
        "the grant has ended; not confirmed by the service's domain"
    );
}

#[test]
fn a_caller_whose_service_has_lost_its_daemon_is_still_ended() {
    let (fixture, listener, ends) = machine();
    fixture.domain(1, "work");
    let ready = fixture.start_daemon(2, "personal");
    let mut agent = greeted_agent(&fixture, 2, &ready, CONTROL_RING);
    let mut caller = fixture.domain_calls(1, "personal", "test.Forever");
    let caller = caller.stdin(Stdio::piped()).stderr(Stdio::piped());
    let caller = caller.spawn().unwrap();
    let (_, _channel) = take_call(&fixture, &mut agent);
    // Its daemon hangs up on the caller's, and the call runs on.
    drop(agent);
    let _again = greeted_agent(&fixture, 2, &ready, CONTROL_RING);
    order_end(&mut heard(&listener));
    Call { caller, service: 0 }.last_words();
    assert_eq!(end(&ends)["how"], "the grant has ended");
}

#[test]
fn a_service_ends_although_the_caller_disobeys_and_that_is_recorded() {
    let (fixture, listener, ends) = two_domains();
    fixture.service("test.Forever", "echo $$; exec sleep 1000");
    let trigger = UntrustedTrigger::new("", "personal", &RequestId::numbered(1), "test.Forever");
    let mut agent = UnixStream::connect(fixture.agent_socket(1)).unwrap();
    agent
        .write_all(&trigger.encode(Version::V4).unwrap())
        .unwrap();
    let mut route = [0; 8];
    agent.read_exact(&mut route).unwrap();
    let route = Route::decode(&route).unwrap();
    assert_eq!(route.domain, DomId::new(2).unwrap());
    let vchan = qrexec_client::announce(&fixture.endpoints(1), route.domain, route.port).unwrap();
    let orders = qrexec_relay::Orders::None;
    let mut channel = qrexec_client::meet(Version::OWN, vchan, orders, Some(PATIENCE)).unwrap();
    let mut lines = heard(&listener);
    order_end(&mut lines);
    let mut word = [0; 5];
    agent.read_exact(&mut word).unwrap();
    assert_eq!(&word, ENDED);
    let begun = Instant::now();
    while !channel.peer_gone() {
        assert!(begun.elapsed() < PATIENCE, "the channel stays open");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(next(&mut lines), Notice::Source("work".parse().unwrap()));
    assert_eq!(
        end(&ends)["how"],
        "the grant has ended; not confirmed by the caller's domain"
    );
}
