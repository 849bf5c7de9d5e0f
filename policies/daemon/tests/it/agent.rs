// SPDX-License-Identifier: GPL-3.0-or-later
//! The program that asks the user, played by the test.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use policy_agent_protocol::{Ask, Notify, Request};

use crate::fixture::{Machine, PATIENCE};

pub struct Agent {
    listener: UnixListener,
}

/// A question that the user sees.
pub struct Shown {
    stream: UnixStream,
    pub ask: Ask,
    /// As it came.
    pub text: String,
}

impl Agent {
    pub fn of(machine: &Machine) -> Self {
        let socket = machine.layout().policy_agent_socket();
        let _ = fs::remove_file(&socket);
        fs::create_dir_all(socket.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        Self { listener }
    }

    /// What is said next. Who asks for the daemon's status only looks whether anybody listens.
    fn next(&self) -> (UnixStream, String) {
        loop {
            let (mut stream, _) = self.listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            if !text.is_empty() {
                return (stream, text);
            }
        }
    }

    /// The next question. What the user is told meanwhile does not matter.
    pub fn shown(&self) -> Shown {
        loop {
            let (stream, text) = self.next();
            if let Request::Ask(ask) = Request::decode(text.as_bytes()).unwrap() {
                return Shown {
                    stream,
                    ask: *ask,
                    text,
                };
            }
        }
    }

    /// The next notice.
    pub fn told(&self) -> Notify {
        match Request::decode(self.next().1.as_bytes()).unwrap() {
            Request::Notify(notify) => notify,
            Request::Ask(ask) => panic!("{ask:?}"),
        }
    }

    /// Whether a question waits to be shown just now.
    pub fn is_asked(&self) -> bool {
        self.listener.set_nonblocking(true).unwrap();
        let mut asked = false;
        while let Ok((mut stream, _)) = self.listener.accept() {
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            asked |= matches!(Request::decode(text.as_bytes()), Ok(Request::Ask(_)));
        }
        self.listener.set_nonblocking(false).unwrap();
        asked
    }
}

impl Shown {
    pub fn answer(mut self, answer: &str) {
        self.stream.write_all(answer.as_bytes()).unwrap();
    }

    /// Returns when the daemon has no use for an answer any more.
    pub fn await_withdrawal(self) {
        let mut poll = [nix::poll::PollFd::new(
            std::os::fd::AsFd::as_fd(&self.stream),
            nix::poll::PollFlags::empty(),
        )];
        let millis = u16::try_from(PATIENCE.as_millis()).unwrap();
        assert_eq!(
            nix::poll::poll(&mut poll, millis).unwrap(),
            1,
            "it is not withdrawn"
        );
    }
}
