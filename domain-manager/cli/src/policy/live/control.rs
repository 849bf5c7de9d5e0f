// SPDX-License-Identifier: GPL-3.0-or-later
//! Asking the policy daemon.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use policyd::control::{Answer, Request, control_socket};

use crate::client::Client;
use crate::failure::Failure;

/// How long an answer may take. The largest policies are read again in less.
const PATIENCE: Duration = Duration::from_secs(60);

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
pub fn answer(lines: &mut BufReader<UnixStream>) -> Result<Answer, Failure> {
    answer_within(lines, PATIENCE)
}

fn answer_within(lines: &mut BufReader<UnixStream>, patience: Duration) -> Result<Answer, Failure> {
    let wait = |lines: &BufReader<UnixStream>, time| {
        let set = lines.get_ref().set_read_timeout(time);
        set.map_err(|error| broken(&error))
    };
    wait(lines, Some(patience))?;
    let mut line = String::new();
    match lines.read_line(&mut line) {
        Ok(0) => {
            return Err(Failure::new("the policy daemon has gone without an answer")
                .hint("`bulkhead status` says whether it runs"));
        }
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            return Err(Failure::new("the policy daemon runs and does not answer")
                .hint("`systemctl restart policyd`; until then every call is refused"));
        }
        Err(error) => return Err(broken(&error)),
    }
    // A trace is waited for as long as it takes.
    wait(lines, None)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_hangs_and_one_that_has_gone_are_told_apart() {
        let (own, other) = UnixStream::pair().unwrap();
        let mut lines = BufReader::new(own);
        let mut told = || {
            let answer = answer_within(&mut lines, Duration::from_millis(1));
            answer.unwrap_err().to_string()
        };
        assert!(told().starts_with("error: the policy daemon runs and does not answer\n"));
        drop(other);
        assert!(told().starts_with("error: the policy daemon has gone without an answer\n"));
    }
}
