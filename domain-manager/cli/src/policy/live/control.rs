// SPDX-License-Identifier: GPL-3.0-or-later
//! Asking the policy daemon.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use policyd::control::{Answer, Request, control_socket};

use crate::client::Client;
use crate::failure::Failure;

/// Asks for one thing; a refusal is an error.
pub fn ask(client: &Client, request: &Request) -> Result<Answer, Failure> {
    let mut lines = open(client, request)?;
    answer(&mut lines)
}

/// Asks, and leaves the line open for more than one answer.
pub fn open(client: &Client, request: &Request) -> Result<BufReader<UnixStream>, Failure> {
    let path = control_socket(client.layout());
    let mut stream = UnixStream::connect(&path).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => "run this as root",
            _ => "start it: `systemctl start policyd`",
        };
        Failure::new("the policy daemon does not answer")
            .because(&error)
            .hint(hint)
    })?;
    let sent = serde_json::to_vec(request).map_err(io::Error::from);
    let sent = sent.and_then(|mut line| {
        line.push(b'\n');
        stream.write_all(&line)
    });
    sent.map_err(|error| broken(&error))?;
    Ok(BufReader::new(stream))
}

/// Reads an answer.
pub fn answer(lines: &mut impl BufRead) -> Result<Answer, Failure> {
    let mut line = String::new();
    lines.read_line(&mut line).map_err(|error| broken(&error))?;
    match serde_json::from_str(&line) {
        Ok(Answer::Refused { message }) => Err(Failure::new(message)),
        Ok(answer) => Ok(answer),
        Err(error) => Err(senseless().because(&error)),
    }
}

fn broken(error: &io::Error) -> Failure {
    Failure::new("the policy daemon broke the connection off")
        .because(error)
        .hint("`bulkhead status` says whether it runs")
}

/// For an answer to another question.
pub fn senseless() -> Failure {
    Failure::new("the policy daemon's answer makes no sense here")
        .hint("it may be of another release than this command: `systemctl restart policyd`")
}
