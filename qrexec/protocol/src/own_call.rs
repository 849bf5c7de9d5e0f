// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a program of dom0 tells the policy daemon of a call that it makes itself, for the record.
//!
//! Dom0 needs no permission, so nobody answers and nobody is waited for. It stands on the socket of
//! [`crate::under_way`], which is ours alone: a first line `dom0 TARGET SERVICE`, and when the call is
//! over a [`Report`](crate::report::Report) without a number (`record=0`), since only the policy daemon knows it. Where the
//! stream ends without one, the program has gone.

use std::fmt;

use thiserror::Error;

use crate::command::{Action, CommandLine};

/// The most bytes that the text of a service has here; the rest is cut off.
pub const SERVICE_MAX: usize = 300;
/// The most bytes that a target has.
pub const TARGET_MAX: usize = 80;
/// The most bytes of what is said when the call is over.
pub const END_LEN_MAX: usize = 2048;

const WORD: &str = "dom0 ";

/// A call that dom0 makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCall {
    /// The domain, as it was asked for.
    pub target: String,
    /// The service with its argument, or the command.
    pub service: String,
}

/// A line that is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the line tells of no call of dom0")]
pub struct BadOwnCall;

impl OwnCall {
    /// The call of `command` in `target`.
    pub fn new(target: &str, command: &[u8]) -> Self {
        let service = match CommandLine::parse(command).map(|line| line.action) {
            Ok(Action::Service(call)) => call.service.to_string(),
            Ok(Action::Shell(text)) => String::from_utf8_lossy(&text).into_owned(),
            Err(_) => String::from_utf8_lossy(command).into_owned(),
        };
        Self {
            target: target.to_owned(),
            service: one_line(&service, SERVICE_MAX),
        }
    }

    /// Whether a line is meant as one of these.
    pub fn is_one(line: &str) -> bool {
        line.starts_with(WORD)
    }

    /// Reads a line without its end.
    pub fn parse(line: &str) -> Result<Self, BadOwnCall> {
        let rest = line.strip_prefix(WORD).ok_or(BadOwnCall)?;
        let (target, service) = rest.split_once(' ').ok_or(BadOwnCall)?;
        let bad = |text: &str, max| text.is_empty() || text.len() > max;
        if bad(target, TARGET_MAX) || bad(service, SERVICE_MAX) || rest.contains(char::is_control) {
            return Err(BadOwnCall);
        }
        Ok(Self {
            target: target.to_owned(),
            service: service.to_owned(),
        })
    }
}

impl fmt::Display for OwnCall {
    /// The line without its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{WORD}{} {}", self.target, self.service)
    }
}

fn one_line(text: &str, max: usize) -> String {
    let text = text.replace(char::is_control, " ");
    text[..text.floor_char_boundary(max)].to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::under_way::LINE_MAX;

    #[test]
    fn a_service_and_a_command_are_read_as_they_were_written() {
        for (command, service) in [
            ("user:QUBESRPC qubes.VMShell+x dom0", "qubes.VMShell+x"),
            ("root:nogui:ls -l /\n", "ls -l / "),
        ] {
            let call = OwnCall::new("work", command.as_bytes());
            assert_eq!((&call.target[..], &call.service[..]), ("work", service));
            assert_eq!(OwnCall::parse(&call.to_string()), Ok(call));
        }
    }

    #[test]
    fn anything_else_is_no_call_of_dom0() {
        for line in [
            "",
            "dom0",
            "dom0 work",
            "dom0  a",
            "dom0 work a\tb",
            "source work",
        ] {
            assert_eq!(OwnCall::parse(line), Err(BadOwnCall), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_command_makes_a_second_line(command: Vec<u8>) {
            let line = OwnCall::new("work", &command).to_string();
            prop_assert!(line.len() < LINE_MAX && !line.contains(char::is_control));
        }

        #[test]
        fn no_line_makes_the_reader_fall_over(line: String) {
            let _ = OwnCall::parse(&line);
        }
    }
}
