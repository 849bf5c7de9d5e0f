// SPDX-License-Identifier: GPL-3.0-or-later
//! What services complain about, kept in the log of the domain that they run in.
//!
//! The caller of a guest's service gets its errors too, but the person who looks after the guest never sees
//! those. Lines go to the system log's socket (`/dev/log`, or where `BULKHEAD_LOG_SOCKET` says) with the
//! service and its caller as tag; where there is no such socket, to this process's own log. There go those of
//! dom0's services, which nobody else gets: a guest may have a say in what they are, and in how many.
//! No program stands in between, and a log that does not keep up loses lines instead of
//! holding up the call.

use std::io::{self, PipeReader, Read as _};
use std::os::unix::net::UnixDatagram;
use std::thread;

use qrexec_protocol::command::ServiceCall;
use qrexec_protocol::sanitize::for_log;

const SOCKET: &str = "/dev/log";
const SOCKET_VARIABLE: &str = "BULKHEAD_LOG_SOCKET";
/// The syslog protocol's number for an ordinary notice of a user's program.
const PRIORITY: u8 = 13;
/// A longer line becomes several.
const LINE_MAX: usize = 1000;
const STACK: usize = 64 * 1024;

/// The log of one service's errors.
#[derive(Debug)]
pub struct Journal {
    tag: String,
    socket: Option<UnixDatagram>,
    line: Vec<u8>,
}

impl Journal {
    /// This process's own log, for a call.
    pub(crate) fn own(call: &ServiceCall) -> Self {
        Self::at(call, None)
    }

    /// The system's log, for a call.
    pub(crate) fn system(call: &ServiceCall) -> Self {
        let path = std::env::var_os(SOCKET_VARIABLE).unwrap_or_else(|| SOCKET.into());
        let open = || -> io::Result<UnixDatagram> {
            let socket = UnixDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            socket.connect(path)?;
            Ok(socket)
        };
        Self::at(call, open().ok())
    }

    fn at(call: &ServiceCall, socket: Option<UnixDatagram>) -> Self {
        let tag = format!("{}-{}", call.service, call.source);
        Self {
            tag: for_log(tag.as_bytes(), 100),
            socket,
            line: Vec::new(),
        }
    }

    /// Takes what the service wrote.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' || self.line.len() >= LINE_MAX {
                self.write_line();
            }
            if *byte != b'\n' {
                self.line.push(*byte);
            }
        }
    }

    /// Takes what is in a pipe. False at its end.
    pub(crate) fn take_from(&mut self, errors: &mut PipeReader) -> bool {
        let mut bytes = [0; 4096];
        match errors.read(&mut bytes) {
            Ok(len @ 1..) => self.take(&bytes[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return false,
        }
        true
    }

    /// Takes everything from a pipe, in a thread of its own.
    pub(crate) fn follow(mut self, mut errors: PipeReader) -> io::Result<()> {
        let copy = move || while self.take_from(&mut errors) {};
        let builder = thread::Builder::new()
            .name("errors".to_owned())
            .stack_size(STACK);
        builder.spawn(copy).map(drop)
    }

    fn write_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            return;
        }
        let text = for_log(&line, LINE_MAX);
        match &self.socket {
            Some(socket) => {
                let message = format!("<{PRIORITY}>{}: {text}", self.tag);
                let _ = socket.send(message.as_bytes());
            }
            None => tracing::warn!("{}: {text}", self.tag),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.write_line();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(written: &[&[u8]]) -> Vec<String> {
        let (socket, log) = UnixDatagram::pair().unwrap();
        let mut journal = Journal {
            tag: "a+-work".to_owned(),
            socket: Some(socket),
            line: Vec::new(),
        };
        written.iter().for_each(|bytes| journal.take(bytes));
        drop(journal);
        // All of it is there already.
        log.set_nonblocking(true).unwrap();
        let mut bytes = [0; 8192];
        let next = || {
            let len = log.recv(&mut bytes).ok()?;
            Some(String::from_utf8(bytes[..len].to_vec()).unwrap())
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn each_line_is_one_message_however_it_was_written() {
        let told = lines(&[b"one\ntw", b"o\n\n", b"three"]);
        let expected = ["<13>a+-work: one", "<13>a+-work: two", "<13>a+-work: three"];
        assert_eq!(told, expected);
    }

    #[test]
    fn nothing_in_a_line_can_look_like_another_one() {
        assert_eq!(lines(&[b"a\x1b[2J\0\r"]), [r"<13>a+-work: a\x1b[2J\x00\r"]);
        let long = lines(&[&[b'x'; 2500]]);
        assert_eq!(long.len(), 3);
        assert!(long.iter().all(|line| line.len() < 1100));
    }
}
